import { Leader } from "./leader.js";

/** @typedef {import("./leader.js").Core} Core */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./types.js").HubState} HubState */
/** @typedef {import("./seats.js").Listener} Listener */
/** @typedef {import("./leader.js").Item} Item */

/** How late a leader may be. */
const RELAY_MS = 1000;

/**
 * One socket for all tabs. The tab that holds a Web Lock leads: it has the engine; every tab, the leader's own
 * included, asks it over a BroadcastChannel and keeps its positions itself. When the leader's tab goes, the browser
 * gives the lock to the next one, and all tabs attach there again from where they stand: a take-over is a resume.
 */
export class SharedEngine {
  /** @type {HubState} */
  #state = { name: "idle" };
  #settings;
  #sink;
  #name;
  #id;
  /** @type {any} */
  #wires = null;
  /** Frees the locks of this tab. @type {AbortController | null} */
  #locks = null;
  /** @type {string | null} */
  #leader = null;
  /** @type {Leader | null} */
  #leading = null;
  /** @type {Map<string, {n: string, channel: string, listener: Listener, position: Position | null}>} */
  #seats = new Map();
  /** Positions in channels of the token. @type {Map<string, Position>} */
  #unasked = new Map();
  #requests;
  #core;
  #count = 0;
  /** @type {() => void} */
  #unwatch = () => {};
  /** @type {any} */
  #relay = null;

  /**
   * @param {import("./types.js").Settings} settings
   * @param {import("./engine.js").Sink} sink
   * @param {boolean | string} shared
   * @param {Core} core
   */
  constructor(settings, sink, shared, core) {
    this.#core = core;
    this.#settings = settings;
    this.#sink = sink;
    this.#name = `hub:${settings.url}:${shared}`;
    this.#id = settings.env.random().toString(36).slice(2) + settings.env.now().toString(36);
    this.#requests = new core.Requests(settings, (command, timeoutMs) => this.#pass(command, timeoutMs));
  }

  get state() {
    return this.#state;
  }

  start() {
    if (this.#locks) return this.#post({ op: "start" });
    const { env } = this.#settings;
    const BroadcastChannel = /** @type {any} */ (env.BroadcastChannel);
    this.#wires = new BroadcastChannel(this.#name);
    this.#wires.onmessage = (/** @type {any} */ { data }) => this.#hear(data);
    this.#enter({ name: "connecting" });
    const { signal } = (this.#locks = new AbortController());
    // the lock of this tab tells the leader that it is there; the other one makes it the leader
    this.#hold(`${this.#name}:${this.#id}`, signal, () => this.#post({ op: "hello" }));
    this.#hold(this.#name, signal, () => this.#lead());
    const wake = () => this.#post({ op: "wake" });
    this.#unwatch = env.watch(wake, () => {});
  }

  /** @param {string} name @param {AbortSignal} signal @param {() => void} held */
  #hold(name, signal, held) {
    const until = () => new Promise((_, release) => {
      signal.addEventListener("abort", () => release(signal.reason));
      if (!signal.aborted) held();
    });
    this.#settings.env.locks?.request(name, { signal }, until).catch((/** @type {any} */ error) => {
      if (!signal.aborted) this.#sink.error(error);
    });
  }

  /** @param {import("./types.js").Why} why */
  stop(why) {
    if (!this.#locks) return;
    this.#leader = null; // nothing that is told from now on concerns this tab
    this.#unwatch();
    this.#leading?.stop(why);
    this.#post({ op: "bye" });
    this.#wires.close();
    this.#locks.abort();
    this.#locks = this.#leading = this.#wires = null;
    this.#enter({ name: "closed", why });
  }

  /** @param {HubState} state */
  #enter(state) {
    const { env } = this.#settings;
    const before = this.#state.name;
    this.#state = state;
    env.clearTimeout(this.#relay);
    // a hidden leader's timers may be a minute late; those of the tab that is looked at are not
    if (state.name === "reconnecting") {
      this.#relay = env.setTimeout(() => this.#post({ op: "wake" }), state.inMs + RELAY_MS);
    }
    if (before !== state.name || state.name === "reconnecting") this.#sink.state(state);
    if (state.name === "connected") this.#requests.resend();
    if (state.name === "closed") {
      this.#requests.rejectAll(new this.#core.HubError("closed", `closed: ${state.why.reason}`));
    }
  }

  // --- what a tab asks --------------------------------------------------------------------------------------

  /** @param {string} channel @param {Listener} listener */
  attach(channel, listener) {
    const n = `${this.#id}/${++this.#count}`;
    const seat = { n, channel, listener, position: listener.position };
    this.#seats.set(n, seat);
    if (this.#leader) this.#sit(seat);
  }

  /** @param {{n: string, channel: string, listener: Listener, position: Position | null}} seat */
  #sit({ n, channel, listener, position }) {
    const { presence, maxRate, echo } = listener.options;
    this.#post({ op: "attach", n, channel, position, options: { presence, maxRate, echo } });
  }

  /** @param {string} _channel @param {Listener} listener */
  detach(_channel, listener) {
    for (const [n, seat] of this.#seats) {
      if (seat.listener !== listener) continue;
      this.#seats.delete(n);
      this.#post({ op: "detach", n });
    }
  }

  /** @param {Message} command @param {number} [timeoutMs] */
  ask(command, timeoutMs) {
    return this.#requests.ask(command, timeoutMs);
  }

  /** @param {Message} command */
  tell(command) {
    this.#post({ op: "tell", command });
    return true;
  }

  /** @param {Message} command @param {number} timeoutMs */
  #pass(command, timeoutMs) {
    if (!this.#leader || this.#state.name !== "connected") return false;
    this.#post({ op: "ask", command, timeoutMs });
    return true;
  }

  /** @param {any} message */
  #post(message) {
    const whole = { ...message, from: this.#id };
    this.#wires?.postMessage(whole);
    this.#leading?.hear(whole); // a BroadcastChannel does not hear itself
  }

  // --- what the leader tells --------------------------------------------------------------------------------

  /** @param {any} message */
  #hear(message) {
    if (message.op === "leader") return this.#follow(message);
    if (message.leader === undefined) return void this.#leading?.hear(message);
    if (message.leader !== this.#leader) return;
    if (message.op === "reply" && message.to === this.#id) this.#requests.settle(message.reply);
    else if (message.op === "gone") {
      this.#leader = null;
      this.#enter({ name: "connecting" });
    } else if (message.op === "items") {
      for (const item of message.items) if (message.leader === this.#leader) this.#apply(item);
    }
  }

  /** @param {{leader: string, state: HubState}} message */
  #follow({ leader, state }) {
    if (leader !== this.#leader) {
      this.#leader = leader;
      for (const seat of this.#seats.values()) this.#sit(seat);
    }
    this.#enter(state);
  }

  /** @param {Item} item */
  #apply([kind, data, position, to]) {
    if (typeof to === "string") {
      if (position) this.#unasked.set(to, position);
      return this.#sink.unasked(kind, data, to, position);
    }
    for (const n of to) {
      const seat = this.#seats.get(n);
      if (!seat) continue;
      seat.position = position;
      if (kind === "state" && data.name === "ended") this.#seats.delete(n);
      const what = kind === "state" && data.error ? { ...data, error: this.#core.HubError.from(data.error) } : data;
      seat.listener.apply(kind, what, position);
    }
  }

  #lead() {
    this.#leading = new Leader(this.#core, this.#settings, this.#sink, this.#unasked, this.#name, this.#id, (message) => {
      this.#wires?.postMessage(message);
      this.#hear(message);
    });
    this.#leading.start();
  }
}
