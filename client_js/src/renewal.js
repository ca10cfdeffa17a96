import { HubError } from "./errors.js";
import { Timer } from "./timer.js";
import { askToken } from "./token.js";

const SPREAD_MS = 10_000;
const TRIES = 3;

/**
 * Renews the token in place when the hub says that it ends soon. A failure is reported and tried again; the last
 * one is left to the hub, which closes with 4201, and the reconnect brings a new token.
 */
export class Renewal {
  #settings;
  #report;
  #timer;
  /** @type {() => void} */
  #cancel = () => {};
  /** @type {string | null} */
  #awaited = null;
  #tries = 0;
  #count = 0;

  /**
   * @param {import("./types.js").Settings} settings
   * @param {(error: Error) => void} report
   */
  constructor(settings, report) {
    this.#settings = settings;
    this.#report = report;
    this.#timer = new Timer(settings.env);
  }

  /** @param {import("./session.js").Session} session */
  start(session) {
    this.stop();
    this.#tries = 0;
    this.#later(session);
  }

  stop() {
    this.#timer.clear();
    this.#cancel();
    this.#awaited = null;
  }

  /** @param {import("./session.js").Session} session */
  #later(session) {
    // the hub spreads its warnings already; whoever asks an own token endpoint spreads once more
    this.#timer.set(this.#settings.env.random() * SPREAD_MS, () => this.#renew(session));
  }

  /** @param {import("./session.js").Session} session */
  #renew(session) {
    this.#tries++;
    const failed = (/** @type {Error} */ error) => this.#failed(session, error);
    this.#cancel = askToken(this.#settings, "expiring", (token) => this.#send(session, token), failed);
  }

  /**
   * @param {import("./session.js").Session} session
   * @param {string | null} token
   */
  #send(session, token) {
    this.#awaited = `renew-${++this.#count}`;
    session.send({ type: "authenticate", id: this.#awaited, token });
    const late = new HubError("timeout", "the hub did not answer a renewed token");
    this.#timer.set(this.#settings.timeoutMs, () => this.#failed(session, late));
  }

  /**
   * @param {import("./session.js").Session} session
   * @param {Error} error
   */
  #failed(session, error) {
    this.stop();
    this.#report(error);
    if (this.#tries < TRIES) this.#later(session);
  }

  /**
   * Takes the answer to its own command.
   * @param {import("./session.js").Session} session
   * @param {import("./types.js").Message} message
   * @returns {boolean} Whether it was one.
   */
  take(session, message) {
    if (this.#awaited === null || message.id !== this.#awaited) return false;
    if (message.type === "hub.error") this.#failed(session, HubError.from(message));
    else this.stop();
    return true;
  }
}
