/**
 * The count of an inbox's badge, derived and never counted: what the hub said at one offset, and how far the channel
 * has come since. So a replay, a second answer or a lost message can't make it drift.
 */
export class Unread {
  /** Offset of the user's cursor, as far as the hub's number tells it. @type {number | undefined} */
  #cursor;
  #top = 0;

  /** The hub's number, at an offset that it had reached. @param {number} unread @param {number} offset */
  said(unread, offset) {
    this.#top = Math.max(this.#top, offset);
    this.#cursor = this.#top - unread;
  }

  /** @param {number} offset */
  came(offset) {
    this.#top = Math.max(this.#top, offset);
  }

  /** Unknown where the channel is no inbox. */
  get count() {
    return this.#cursor === undefined ? undefined : this.#top - this.#cursor;
  }
}
