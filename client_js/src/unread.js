/**
 * The count of an inbox's badge, derived and never counted: what the hub said at one offset, and how far the channel
 * has come since. So a replay, a second answer or a lost message can't make it drift.
 */
export class Unread {
  #said = 0;
  #at = 0;
  #top = 0;
  known = false;

  /** `hub.subscribed`: the hub's number at its top. @param {number} unread @param {number} offset */
  subscribed(unread, offset) {
    this.#said = unread;
    this.#at = this.#top = offset;
    this.known = true;
  }

  /** `hub.acked`: the number now, with the cursor at `offset`. @param {number} unread @param {number} offset */
  acked(unread, offset) {
    this.#said = unread;
    // the hub may count events that are still on their way here: its top is at least cursor + unread
    this.#at = this.#top = Math.max(this.#top, offset + unread);
    this.known = true;
  }

  /** @param {number} offset */
  came(offset) {
    this.#top = Math.max(this.#top, offset);
  }

  get count() {
    return this.#said + this.#top - this.#at;
  }
}
