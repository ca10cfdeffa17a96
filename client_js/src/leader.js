/** @typedef {import("./errors.js").HubError} HubError */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./seats.js").Listener} Listener */
/**
 * The classes of the core, handed in: this file is loaded later and on its own, and must not bring a second copy.
 * @typedef {{Engine: typeof import("./engine.js").Engine, Requests: typeof import("./requests.js").Requests,
 *   HubError: typeof import("./errors.js").HubError, absolute: typeof import("./address.js").absolute,
 *   encode: typeof import("./codec.js").encode}} Core
 */
/** @typedef {[kind: string, data: any, position: Position | null, to: string[] | string]} Item What happened, for the
 *   seats of tabs (`tab/n`), or for all of them in a channel of the token (its name). */

/** What survives the way to another tab. @param {HubError} error */
const plain = ({ code, message, channel, retry, retryAfterMs, outcome, cause }) => ({
  code,
  cause: typeof cause === "string" ? cause : undefined,
  reason: message,
  channel,
  retry,
  retry_after_ms: retryAfterMs,
  outcome,
});

/** @param {string} kind @param {any} data */
const portable = (kind, data) => (kind === "state" && data.error ? { ...data, error: plain(data.error) } : data);

/** The tab that has the socket: it does for every tab what the tab asks. */
export class Leader {
  /** Of this term: a tab may lead, lose the lock and lead again. */
  id;
  #engine;
  #settings;
  #name;
  #post;
  /** @type {Map<string, {channel: string, listener: Listener}>} */
  #seats = new Map();
  /** Tabs that are watched for their end. @type {Set<string>} */
  #tabs = new Set();
  /** Requests under way, so that one that is asked again is not sent again. @type {Set<string>} */
  #asked = new Set();
  /** @type {Item[]} */
  #items = [];

  /**
   * @param {Core} core
   * @param {import("./types.js").Settings} settings
   * @param {import("./engine.js").Sink} sink
   * @param {Map<string, Position>} unasked
   * @param {string} name
   * @param {string} tab
   * @param {string} id
   * @param {(message: any) => void} post To every tab, this one too.
   */
  constructor(core, settings, sink, unasked, name, tab, id, post) {
    this.#settings = settings;
    this.#name = name;
    this.id = id;
    this.#post = post;
    this.#tabs.add(tab);
    this.#engine = new core.Engine(settings, {
      state: () => this.#announce(),
      error: (error) => sink.error(error),
      unasked: (kind, data, channel, position) => this.#push([kind, portable(kind, data), position, channel]),
    });
    for (const [channel, position] of unasked) this.#engine.resumeUnasked(channel, position);
  }

  start() {
    this.#engine.start();
  }

  /** @param {import("./types.js").Why} why */
  stop(why) {
    this.#flush();
    this.#post({ op: "gone", leader: this.id });
    this.#post = () => {};
    this.#engine.stop(why);
  }

  #announce() {
    this.#flush();
    this.#post({ op: "leader", leader: this.id, state: this.#engine.state });
  }

  /** @param {any} message Of a tab. */
  hear(message) {
    const { op, from, n, channel, command } = message;
    if (op === "bye") return this.#gone(from);
    this.#watch(from);
    switch (op) {
      case "hello":
        return this.#announce();
      case "probe":
        return this.#post({ op: "alive", leader: this.id });
      case "wake":
        return this.#engine.wake();
      case "start":
        return this.#engine.start();
      case "tell":
        return void this.#engine.tell(command);
      case "ask":
        return this.#ask(from, command, message.timeoutMs);
      case "attach":
        return this.#attach(n, channel, message.options, message.position);
      case "detach":
        return this.#detach(n);
    }
  }

  /** The browser frees a tab's lock when the tab is gone, however it went. @param {string} tab */
  #watch(tab) {
    if (this.#tabs.has(tab)) return;
    this.#tabs.add(tab);
    this.#settings.env.locks?.request(`${this.#name}:${tab}`, {}, async () => this.#gone(tab));
  }

  /** @param {string} tab */
  #gone(tab) {
    this.#tabs.delete(tab);
    for (const n of [...this.#seats.keys()]) if (n.startsWith(`${tab}/`)) this.#detach(n);
  }

  /** @param {string} n @param {string} channel @param {import("./types.js").SubscribeOptions} options @param {Position | null} position */
  #attach(n, channel, options, position) {
    if (this.#seats.has(n)) return;
    /** @type {Listener} */
    const listener = { options, position, apply: (kind, data, now) => this.#tell(n, kind, data, now) };
    this.#seats.set(n, { channel, listener });
    this.#engine.attach(channel, listener);
  }

  /** @param {string} n */
  #detach(n) {
    const seat = this.#seats.get(n);
    if (!seat) return;
    this.#seats.delete(n);
    this.#engine.detach(seat.channel, seat.listener);
  }

  /** @param {string} n @param {string} kind @param {any} data @param {Position | null} position */
  #tell(n, kind, data, position) {
    if (kind === "state" && data.name === "ended") this.#seats.delete(n);
    const last = this.#items.at(-1);
    // the same event for several tabs travels once
    if (last && kind === last[0] && data === last[1] && typeof last[3] !== "string") return void last[3].push(n);
    this.#push([kind, portable(kind, data), position, [n]]);
  }

  /** @param {Item} item */
  #push(item) {
    this.#items.push(item);
    if (this.#items.length === 1) queueMicrotask(() => this.#flush());
  }

  #flush() {
    const items = this.#items;
    this.#items = [];
    if (items.length) this.#post({ op: "items", leader: this.id, items });
  }

  /** @param {string} tab @param {Message} command @param {number} timeoutMs */
  async #ask(tab, { id, ...command }, timeoutMs) {
    const key = `${tab}/${id}`;
    if (this.#asked.has(key)) return;
    this.#asked.add(key);
    /** @type {Message} */
    let reply;
    try {
      reply = await this.#engine.ask(/** @type {Message} */ (command), timeoutMs);
    } catch (error) {
      reply = { type: "hub.error", ...plain(/** @type {HubError} */ (error)) };
    }
    this.#asked.delete(key);
    this.#flush(); // what came before the answer is told before it
    this.#post({ op: "reply", leader: this.id, to: tab, reply: { ...reply, id } });
  }
}
