import { Leader } from "./leader.js";

/** @typedef {import("./leader.js").Core} Core */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./types.js").HubState} HubState */
/** @typedef {import("./seats.js").Listener} Listener */
/** @typedef {import("./leader.js").Item} Item */

/** How late a leader may be. */
const RELAY_MS = 1000;
/** A leader that was silent for so long is asked, and asked again; a third such silence, and its place is taken. */
const PROBE_MS = 700;
const PROBES = 2;

/**
 * One socket for all tabs. The tab that holds a Web Lock leads: it has the engine; every tab, the leader's own
 * included, asks it over a BroadcastChannel and keeps its positions itself. When the leader's tab goes, the browser
 * gives the lock to the next one, and all tabs attach there again from where they stand: a take-over is a resume.
 *
 * A tab that is put aside (back/forward cache, freeze) keeps its locks and answers nobody, so it leaves before, and
 * comes back when it is shown. One that can't (it shows a dialog) is noticed by its silence, and its lock is stolen.
 */
export class SharedEngine {
  /** @type {HubState} */
  #state = { name: "idle" };
  #settings;
  #sink;
  #shared;
  #name = "";
  #id;
  /** @type {any} */
  #wires = null;
  /** Frees the lock of this tab. @type {AbortController | null} */
  #presence = null;
  /** Ends the wish to lead, or the lead. @type {AbortController | null} */
  #candidacy = null;
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
  /** @type {(() => void) | null} */
  #unwatch = null;
  /** @type {any} */
  #relay = null;
  /** @type {any} */
  #prober = null;
  /** Silences since the leader was heard. */
  #silences = 0;

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
    this.#shared = shared;
    this.#id = settings.env.random().toString(36).slice(2) + settings.env.now().toString(36);
    this.#requests = new core.Requests(settings, (command, timeoutMs) => this.#pass(command, timeoutMs));
  }

  get state() {
    return this.#state;
  }

  start() {
    if (this.#unwatch) return this.#post({ op: "start" });
    try {
      this.#name = `hub:${this.#core.absolute(this.#settings.url)}:${this.#shared}`;
    } catch (error) {
      const why = { reason: /** @type {Error} */ (error).message, error: /** @type {Error} */ (error) };
      return this.#enter({ name: "closed", why });
    }
    this.#unwatch = this.#settings.env.watch(
      () => (this.#wires ? this.#post({ op: "wake" }) : this.#join()),
      () => {},
      () => this.#leave({ reason: "the page was put aside" }),
    );
    this.#join();
  }

  /** @param {import("./types.js").Why} why */
  stop(why) {
    if (!this.#unwatch) return;
    this.#unwatch();
    this.#unwatch = null;
    this.#leave(why);
    this.#enter({ name: "closed", why });
  }

  #join() {
    const BroadcastChannel = /** @type {any} */ (this.#settings.env.BroadcastChannel);
    this.#wires = new BroadcastChannel(this.#name);
    this.#wires.onmessage = (/** @type {any} */ { data }) => this.#hear(data);
    this.#enter({ name: "connecting" });
    this.#presence = new AbortController();
    // the lock of this tab tells the leader that it is there; the other one makes it the leader
    this.#hold(`${this.#name}:${this.#id}`, this.#presence, () => this.#post({ op: "hello" }));
    this.#stand();
    this.#probe();
  }

  /** Takes no part any more. @param {import("./types.js").Why} why */
  #leave(why) {
    if (!this.#wires) return;
    this.#leader = null; // nothing that is told from now on concerns this tab
    this.#resign(why);
    this.#post({ op: "bye" });
    this.#wires.close();
    this.#presence?.abort();
    this.#wires = this.#presence = null;
    this.#settings.env.clearTimeout(this.#relay);
    this.#settings.env.clearTimeout(this.#prober);
  }

  /**
   * @param {string} name
   * @param {AbortController} controller Frees it.
   * @param {() => void} held
   * @param {boolean} [steal]
   */
  #hold(name, { signal }, held, steal) {
    const until = () => new Promise((_, release) => {
      signal.addEventListener("abort", () => release(signal.reason));
      if (!signal.aborted) held();
    });
    const request = this.#settings.env.locks?.request(name, steal ? { steal } : { signal }, until);
    return request.catch((/** @type {any} */ error) => {
      if (signal.aborted) return;
      if (error?.name !== "AbortError") return this.#sink.error(error);
      this.#resign({ reason: "another tab leads" }); // it was stolen, since this tab was silent
      this.#stand();
      this.#post({ op: "hello" });
    });
  }

  // --- who leads --------------------------------------------------------------------------------------------

  /** Wishes to lead, when its turn comes or now. @param {boolean} [steal] */
  #stand(steal) {
    this.#candidacy?.abort();
    this.#candidacy = new AbortController();
    this.#hold(this.#name, this.#candidacy, () => this.#lead(), steal);
  }

  #lead() {
    const id = `${this.#id}.${++this.#count}`;
    this.#leading = new Leader(this.#core, this.#settings, this.#sink, this.#unasked, this.#name, this.#id, id, (message) => {
      this.#wires?.postMessage(message);
      this.#hear(message);
    });
    this.#leading.start();
  }

  /** @param {import("./types.js").Why} why */
  #resign(why) {
    const leading = this.#leading;
    this.#leading = null;
    leading?.stop(why);
    this.#candidacy?.abort();
  }

  /** Asks a leader that is silent, and takes its place when it stays so. */
  #probe() {
    const { env } = this.#settings;
    const due = env.now() + PROBE_MS;
    this.#prober = env.setTimeout(() => {
      // a tab that slept itself has heard nothing, which says nothing of the leader
      if (this.#leading || env.now() - due > PROBE_MS) this.#silences = -1;
      if (this.#silences++ >= PROBES) {
        this.#silences = 0;
        this.#stand(true);
      } else if (this.#silences) this.#post({ op: "probe" });
      this.#probe();
    }, PROBE_MS * (0.8 + 0.4 * env.random()));
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
    if (state.name === "closed") this.#requests.close(state.why.reason);
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
    const { presence, maxRate, echo, token } = listener.options;
    this.#post({ op: "attach", n, channel, position, options: { presence, maxRate, echo, token } });
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
    this.#core.encode(this.#settings.codec, command); // what the leader could not send it could not answer either
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
    if (message.leader === undefined) return void this.#leading?.hear(message);
    if (message.op === "leader") return this.#follow(message);
    if (message.leader !== this.#leader) return message.op === "alive" && !this.#leader && this.#post({ op: "hello" });
    this.#silences = -1;
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
    this.#silences = -1;
    if (leader !== this.#leader) {
      this.#leader = leader;
      for (const seat of this.#seats.values()) this.#sit(seat);
    }
    this.#enter(state);
  }

  /** @param {Item} item */
  #apply([kind, data, position, to]) {
    const what = kind === "state" && data.error ? { ...data, error: this.#core.HubError.from(data.error) } : data;
    if (typeof to === "string") {
      if (position) this.#unasked.set(to, position);
      return this.#sink.unasked(kind, what, to, position);
    }
    for (const n of to) {
      const seat = this.#seats.get(n);
      if (!seat) continue;
      seat.position = position;
      if (kind === "state" && data.name === "ended") this.#seats.delete(n);
      seat.listener.apply(kind, what, position);
    }
  }
}
