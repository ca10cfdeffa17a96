import { Emitter } from "./emitter.js";

/** @typedef {import("./types.js").HubEvent} HubEvent */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./types.js").Member} Member */

/**
 * One's interest in a channel: its events, and where one stands.
 * @extends {Emitter<{event: [HubEvent], snapshot: [HubEvent[], Position], gap: [import("./types.js").Gap],
 *   state: [import("./types.js").SubscriptionState],
 *   presence: [Member[], import("./types.js").PresenceChange], unread: [number]}>}
 */
export class Subscription extends Emitter {
  /** @type {Position | null} */
  #position;
  /** @type {import("./types.js").SubscriptionState} */
  #state = { name: "waiting" };
  /** @type {Member[]} */
  #members = [];
  /** @type {number | undefined} */
  #unread;
  #owner;
  /** What brings the token of its channel. @type {import("./channeltoken.js").ChannelToken | undefined} */
  right;

  /**
   * @param {string} channel
   * @param {import("./types.js").SubscribeOptions} options
   * @param {{ask(command: import("./types.js").Message): Promise<any>, leave(subscription: Subscription): void,
   *   thrown(error: unknown): void}} owner
   */
  constructor(channel, options, owner) {
    super();
    this.channel = channel;
    this.options = options;
    this.#owner = owner;
    this.#position = options.since ?? null;
    // onEvent listens to `event`, and so on
    for (const [name, listener] of Object.entries(options)) {
      if (name.startsWith("on") && listener) this.on(/** @type {any} */ (name.slice(2).toLowerCase()), /** @type {any} */ (listener));
    }
  }

  /** Behind the last event, to be kept and given back as `since`; null before the first answer, and on ephemeral channels. */
  get position() {
    return this.#position;
  }

  get state() {
    return this.#state;
  }

  /** Who is present, with `presence`. */
  get members() {
    return this.#members;
  }

  /** Events that the user has not acknowledged, in an inbox. */
  get unread() {
    return this.#unread;
  }

  /** Moves the user's read cursor, to the last event if no other is named. @param {Position | null} [position] */
  ack(position = this.#position) {
    if (!position) throw new TypeError("no position yet");
    const { epoch, offset } = position;
    return this.#owner.ask({ type: "ack", channel: this.channel, epoch, offset });
  }

  /** What the other members see of this one; kept over reconnects. @param {any} state Up to 4 KiB of JSON. */
  setPresence(state) {
    return this.#owner.ask({ type: "set_presence", channel: this.channel, state });
  }

  unsubscribe() {
    this.#owner.leave(this);
  }

  /** It is over, on this side. @param {import("./errors.js").HubError} [error] */
  end(error) {
    this.apply("state", { name: "ended", error }, this.#position);
  }

  /**
   * For the topic only.
   * @param {string} kind
   * @param {any} data
   * @param {Position | null} position
   */
  apply(kind, data, position) {
    this.#position = position;
    if (this.right?.took(kind, data)) return;
    /** @type {any[]} */
    let told = [data];
    if (kind === "state") this.#state = data;
    else if (kind === "unread") this.#unread = data;
    else if (kind === "snapshot") told = [data, position];
    else if (kind === "presence") told = [(this.#members = data.members), data.change];
    this.emit(/** @type {any} */ (kind), .../** @type {any} */ (told));
  }

  /** @protected @override @param {unknown} error */
  thrown(error) {
    this.#owner.thrown(error);
  }
}
