import { Backoff, inWindow } from "./backoff.js";
import { HubError } from "./errors.js";
import { Liveness } from "./liveness.js";
import { move } from "./machine.js";
import { Session } from "./session.js";
import { Timer } from "./timer.js";
import { askToken, renewalWait } from "./token.js";

/** @typedef {import("./types.js").HubState} HubState */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./session.js").End} End */

/**
 * idle          not asked to connect yet
 * connecting    one session is being made
 * connected     one session delivers (during a hand-over a second one is being made, or is being left)
 * reconnecting  waits for the next attempt
 * offline       waits for the next attempt; the browser says that there is no network, which may be wrong
 * closed        over, until `start` is called again
 * @type {Record<HubState["name"], HubState["name"][]>}
 */
const MOVES = {
  idle: ["connecting", "closed"],
  connecting: ["connected", "reconnecting", "offline", "closed"],
  connected: ["connecting", "reconnecting", "offline", "closed"],
  reconnecting: ["connecting", "offline", "closed"],
  offline: ["connecting", "closed"],
  closed: ["connecting"],
};

const RENEWALS = 3;
/** Left of a token at least when a hub warns of its end that does not say how much. */
const EXPIRING_MS = 30_000;
/** A second socket lives this long at most. */
const HANDOVER_MS = 10_000;
const TICK_MS = 2000;
/** A tick that comes this late was slept through. */
const SLEPT_MS = 5000;

/**
 * Keeps one session alive: when to connect, when to wait, when to hand over, when to stop.
 *
 * Sessions are told apart by identity: only `#main` and, after a take-over, `#leaving` are listened to; a session
 * that was closed says nothing any more.
 */
export class Connection {
  /** @type {HubState} */
  #state = { name: "idle" };
  /** The session that is being made or that delivers. @type {Session | null} */
  #main = null;
  /** The one that is made during a hand-over. @type {Session | null} */
  #spare = null;
  /** The one that delivers until its successor has taken over every subscription. @type {Session | null} */
  #leaving = null;
  #settings;
  #env;
  #owner;
  #backoff;
  #liveness;
  #renewal;
  #wait;
  #stable;
  #handover;
  #tick;
  /** @type {() => void} */
  #unwatch = () => {};
  /** @type {string | undefined} */
  #resume;
  /** Refusals of a token since one was good. */
  #refused = 0;
  /** No attempt before this, by the server's word. */
  #notBefore = 0;
  #stayAwayMs = 0;
  #attemptAt = -Infinity;
  /** When the token in force was accepted. */
  #acceptedAt = 0;

  /**
   * @param {import("./types.js").Settings} settings
   * @param {{session(session: Session): void, message(session: Session, message: Message): void,
   *   lost(session: Session): void, state(state: HubState): void, report(error: Error): void,
   *   ask(command: Message): Promise<unknown>}} owner `session`: send everything to
   *   this one from now on; `lost`: nothing comes from that one any more.
   */
  constructor(settings, owner) {
    const { env } = settings;
    this.#settings = settings;
    this.#env = env;
    this.#owner = owner;
    this.#backoff = new Backoff(settings.minBackoffMs, settings.maxBackoffMs, env.random);
    this.#renewal = new Timer(env);
    this.#liveness = new Liveness(
      env,
      settings.pongTimeoutMs,
      () => this.#main?.send({ type: "ping" }),
      () => this.#lost({ reason: "no answer to a ping", then: "backoff" }),
    );
    this.#wait = new Timer(env);
    this.#stable = new Timer(env);
    this.#handover = new Timer(env);
    this.#tick = new Timer(env);
  }

  get state() {
    return this.#state;
  }

  /**
   * The application hears of it last, when all is done: it may call `close` or `connect` from there.
   * @param {HubState} state
   * @param {() => void} [done] What belongs to the new state.
   */
  #enter(state, done) {
    CHECK: move(MOVES, this.#state.name, state.name);
    this.#state = state;
    this.#wait.clear();
    this.#stable.clear();
    if (state.name !== "connected") {
      this.#liveness.stop();
      this.#renewal.clear();
      this.#handover.clear();
    }
    done?.();
    if (this.#state === state) this.#owner.state(state);
  }

  start() {
    if (this.#state.name !== "idle" && this.#state.name !== "closed") return;
    this.#refused = 0;
    this.#backoff.reset();
    this.#unwatch = this.#env.watch(
      () => this.wake(),
      // it may be wrong (a machine with loopback only is offline to a browser): the link, or the attempt, decides
      () => this.#liveness.probe(),
    );
    this.#watchClock();
    this.#connect();
  }

  /** @param {import("./types.js").Why} why */
  stop(why) {
    if (this.#state.name === "closed" || !this.#dropAll()) return;
    this.#unwatch();
    this.#tick.clear();
    this.#enter({ name: "closed", why });
  }

  /** A machine that slept has run no timer: the clock tells it. */
  #watchClock() {
    const due = this.#env.now() + TICK_MS;
    this.#tick.set(TICK_MS, () => {
      this.#watchClock();
      if (this.#env.now() - due > SLEPT_MS) this.wake();
    });
  }

  /** The network or the page is back: what waits tries at once, once; what stands is tested. */
  wake() {
    const { name } = this.#state;
    if (name === "connected") this.#liveness.probe();
    else if (name === "offline" || name === "reconnecting") this.#connectSoon();
  }

  /** At once, unless the server's window or the last attempt forbids it. */
  #connectSoon() {
    const now = this.#env.now();
    const { minMs } = this.#backoff;
    // each bounded by itself: a clock that was set back must not make the wait longer than it ever was
    const wait = Math.max(
      Math.min(this.#notBefore - now, this.#stayAwayMs),
      Math.min(this.#attemptAt + minMs - now, minMs),
    );
    if (wait <= 0) return this.#connect();
    this.#wait.set(wait + this.#env.random() * minMs, () => this.#connect());
  }

  #connect() {
    this.#main = this.#session();
    this.#enter({ name: "connecting" });
  }

  #session() {
    this.#attemptAt = this.#env.now();
    return new Session(this.#settings, this.#refused ? "refused" : "connect", this.#resume, {
      ready: (session) => this.#ready(session),
      message: (session, message) => this.#hear(session, message),
      end: (session, why) => this.#ended(session, why),
    });
  }

  /** @param {Session} session */
  #ready(session) {
    const { resume, reconnect, connection, user, heartbeat_ms } = /** @type {Message} */ (session.welcome);
    this.#resume = resume;
    this.#refused = 0;
    this.#notBefore = 0;
    this.#acceptedAt = this.#env.now();
    this.#backoff.limits(reconnect);
    this.#renewal.clear();
    const state = /** @type {HubState} */ ({ name: "connected", connection, user });
    const begin = () => {
      this.#liveness.start(this.#settings.pingAfterMs || heartbeat_ms || 25_000);
      this.#stable.set(this.#settings.stableMs, () => this.#backoff.reset());
      this.#owner.session(session);
    };
    if (session === this.#spare) {
      // the hand-over's deadline goes on: an answer that never comes must not keep the second socket
      this.#leaving = this.#main;
      this.#main = session;
      this.#spare = null;
      this.#state = state; // the same to the application: nothing was interrupted
      begin();
    } else this.#enter(state, begin);
  }

  /**
   * @param {Session} session
   * @param {Message} message
   */
  #hear(session, message) {
    if (session === this.#main) {
      this.#liveness.heard();
      if (message.type === "hub.drain") return this.#drain(session, message);
      if (message.type === "hub.token_expiring" && !message.channel) return this.#renew(message.expires_in_ms ?? EXPIRING_MS, RENEWALS);
    }
    this.#owner.message(session, message);
  }

  /**
   * In place. If it fails for good the hub closes with 4201, and the reconnect brings a new token.
   * @param {number} leftMs Of the old one.
   * @param {number} tries
   */
  #renew(leftMs, tries) {
    const session = this.#main;
    const { now, random } = this.#env;
    const waitMs = renewalWait(tries < RENEWALS ? Infinity : now() - this.#acceptedAt, leftMs, random);
    const failed = (/** @type {Error} */ error) => {
      if (session !== this.#main) return;
      this.#owner.report(error);
      if (tries > 1) this.#renew(leftMs - waitMs, tries - 1);
    };
    this.#renewal.set(waitMs, () => {
      const renewed = (/** @type {string | null} */ token) => {
        if (session !== this.#main) return;
        this.#owner.ask({ type: "authenticate", token }).then(() => (this.#acceptedAt = now()), failed);
      };
      askToken(this.#settings, "expiring", renewed, failed);
    });
  }

  // --- the end of a session ---------------------------------------------------------------------------------

  /**
   * @param {Session} session
   * @param {End} why
   */
  #ended(session, why) {
    if (why.error) this.#owner.report(why.error);
    if (session === this.#leaving) return this.settled();
    if (session === this.#spare) return this.#spareFailed();
    if (session === this.#main) this.#lost(why);
  }

  /** The delivering session, or the attempt, is gone. @param {End} why */
  #lost(why) {
    const spare = this.#spare;
    this.#spare = null;
    if (!this.#dropAll()) return spare?.close();
    if (spare) {
      // the hand-over had begun: its attempt is the reconnect
      this.#main = spare;
      return this.#enter({ name: "connecting" });
    }
    if (why.then === "stop") return this.stop(why);
    if (why.then === "renew" && ++this.#refused > 1) {
      const error = new HubError("token", `the token was refused, and a new one too: ${why.reason}`);
      return this.stop({ code: why.code, reason: error.message, error });
    }
    this.#retry(why);
  }

  /** @param {End} why */
  #retry(why) {
    // before any welcome it may be that nothing lets a WebSocket through
    if (!this.#resume) import("./stream.js").then(({ failed }) => failed(this.#settings)).catch(this.#owner.report);
    const { random, now } = this.#env;
    const { window, retryAfterMs = 0 } = why;
    const wait = window ? inWindow(window, random) : this.#backoff.next();
    this.#stayAwayMs = window ? window.min_ms : retryAfterMs;
    this.#notBefore = now() + this.#stayAwayMs;
    const inMs = window ? wait : retryAfterMs + wait;
    const state = /** @type {HubState} */ (this.#env.online() ? { name: "reconnecting", inMs, why } : { name: "offline" });
    this.#enter(state, () => this.#wait.set(inMs, () => this.#connect()));
  }

  /** @returns {boolean} Whether all is as it was: whoever heard of the loss may have called `close` or `connect`. */
  #dropAll() {
    const state = this.#state;
    const sessions = [this.#main, this.#spare, this.#leaving];
    this.#main = this.#spare = this.#leaving = null;
    for (const session of sessions) {
      if (!session) continue;
      session.close();
      this.#owner.lost(session);
    }
    return this.#state === state;
  }

  // --- hand-over: make before break -------------------------------------------------------------------------

  /**
   * @param {Session} session
   * @param {Message} message
   */
  #drain(session, message) {
    if (this.#spare || this.#leaving) return;
    const wait = inWindow(message.reconnect, this.#env.random);
    this.#handover.set(wait, () => this.#openSpare(session));
  }

  /** @param {Session | null} session */
  #openSpare(session) {
    if (session !== this.#main) return;
    this.#spare = this.#session();
    this.#handover.set(HANDOVER_MS, () => {
      if (this.#leaving) return this.settled();
      this.#spare?.close();
      this.#spareFailed();
    });
  }

  /** The old one goes on until the hub closes it, so there is time to try again. */
  #spareFailed() {
    const session = this.#main;
    this.#spare = null;
    this.#handover.set(this.#backoff.next(), () => this.#openSpare(session));
  }

  /** Two sessions stand: the newest is to take over. */
  get handingOver() {
    return this.#leaving !== null;
  }

  /** The old one may go: every subscription is on the newest, or it is too late for that. Only while handing over. */
  settled() {
    const session = /** @type {Session} */ (this.#leaving);
    this.#leaving = null;
    this.#handover.clear();
    session.close();
    this.#owner.lost(session);
  }
}
