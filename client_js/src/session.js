import { after } from "./codes.js";
import { HubError, asError } from "./errors.js";
import { Timer } from "./timer.js";
import { askToken } from "./token.js";
import { Transport } from "./transport.js";

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./backoff.js").Window} Window */
/** @typedef {import("./types.js").Why & {then: import("./codes.js").Then, window?: Window | null,
 *   retryAfterMs?: number}} End Why a session ended and what to do then. */

/**
 * token     the application is asked for one
 * opening   the socket opens
 * greeting  it is open, `hub.welcome` is awaited
 * ready     the session stands
 * closed    over, and silent for ever
 * @typedef {"token" | "opening" | "greeting" | "ready" | "closed"} SessionState
 * @type {Record<SessionState, SessionState[]>}
 */
const MOVES = {
  token: ["opening", "closed"],
  opening: ["greeting", "closed"],
  greeting: ["ready", "closed"],
  ready: ["closed"],
  closed: [],
};

/** @param {{channel: string, position: import("./types.js").Position}} at */
const mark = ({ channel, position }) => `${channel}@${position.epoch}:${position.offset}`;

/** The application's own "do not try again" (it logged out, say). @param {Error} error */
const hopeless = (error) => !(error instanceof HubError) && "retry" in error && error.retry === false;

/** One attempt to connect and, if it succeeds, the connection: from the token to the close. */
export class Session {
  /** @type {SessionState} */
  #state = "token";
  /** @type {Transport | null} */
  #transport = null;
  /** Frees whatever waits for the token. */
  #cancelToken;
  #deadline;
  #settings;
  #offer;
  #on;
  /** The last complaint before a close: it says why, and how long to stay away. @type {Message | null} */
  #complaint = null;
  /** @type {Message | null} */
  welcome = null;

  /**
   * @param {import("./types.js").Settings} settings
   * @param {{reason: import("./types.js").TokenReason, resume: string | null,
   *   since: {channel: string, position: import("./types.js").Position}[]}} offer
   * @param {{ready(session: Session): void, message(session: Session, message: Message): void,
   *   end(session: Session, why: End): void}} on
   */
  constructor(settings, offer, on) {
    this.#settings = settings;
    this.#offer = offer;
    this.#on = on;
    this.#deadline = new Timer(settings.env);
    this.#cancelToken = askToken(
      settings,
      offer.reason,
      (token) => this.#open(token),
      (error) => this.#end({ reason: error.message, error, then: hopeless(error) ? "stop" : "reconnect" }),
    );
  }

  get state() {
    return this.#state;
  }

  /** @param {SessionState} state */
  #enter(state) {
    if (!MOVES[this.#state].includes(state)) throw new Error(`session: ${this.#state} to ${state}`);
    this.#state = state;
    this.#deadline.clear();
  }

  /** @param {string | null} token */
  #open(token) {
    const { env, codec, connectTimeoutMs } = this.#settings;
    this.#enter("opening");
    // one deadline for the socket and the welcome: a half-open network may swallow either
    try {
      this.#transport = new Transport(env, codec, this.#address(token), this.#protocols(token), {
        open: () => this.#greet(token),
        message: (message) => this.#hear(message),
        malformed: (error) => this.#malformed(error),
        close: (code, reason) => this.#end({ ...this.#reasonOf(code, reason), code }),
      });
    } catch (thrown) {
      const error = asError(thrown);
      return this.#end({ reason: error.message, error, then: "reconnect" });
    }
    const late = () => this.#end({ reason: "the hub did not answer in time", then: "reconnect" });
    this.#deadline.set(connectTimeoutMs, late);
  }

  /** @param {string | null} token */
  #protocols(token) {
    const { auth, codec } = this.#settings;
    return token !== null && auth === "subprotocol" ? [codec.protocol, `hub.token.${token}`] : [codec.protocol];
  }

  /** @param {string | null} token */
  #address(token) {
    const { auth, url } = this.#settings;
    const address = new URL(url);
    const query = address.searchParams;
    // `resume` opens no door, so the URL may hold it; it is wanted there before the first message (admission)
    if (this.#offer.resume) query.set("resume", this.#offer.resume);
    if (auth !== "message") for (const at of this.#offer.since) query.append("since", mark(at));
    if (token !== null && auth === "query") query.set("token", token);
    return address.href;
  }

  /** @param {string | null} token */
  #greet(token) {
    this.#state = "greeting"; // the deadline goes on
    if (token === null || this.#settings.auth !== "message") return;
    const { resume, since } = this.#offer;
    const marks = since.length ? { since: since.map(mark) } : {};
    this.send({ type: "authenticate", token, ...(resume ? { resume } : {}), ...marks });
  }

  /** @param {Message} message */
  #hear(message) {
    if (message.type === "hub.close") {
      // the close itself may be queued behind much, or never come: this is as good, and what is lost is resumed
      return this.#end({ ...this.#reasonOf(message.code, message.reason), code: message.code, window: message.reconnect });
    }
    if (message.type === "hub.error" && message.id === undefined) this.#complaint = message;
    if (this.#state === "ready") return this.#on.message(this, message);
    if (message.type !== "hub.welcome") return;
    this.#enter("ready");
    this.welcome = message;
    this.#on.ready(this);
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @returns {End}
   */
  #reasonOf(code, reason) {
    const complaint = this.#state === "ready" ? null : this.#complaint;
    return {
      reason: reason || complaint?.reason || "",
      then: after(code),
      retryAfterMs: complaint?.retry_after_ms,
    };
  }

  /** @param {Error} cause */
  #malformed(cause) {
    const error = new HubError("malformed", `a frame that is no message: ${cause.message}`, { cause });
    this.#end({ reason: error.message, error, then: "reconnect" });
  }

  /** @param {End} why */
  #end(why) {
    if (this.#state === "closed") return;
    this.close(why.error ? 4400 : 1000);
    this.#on.end(this, why);
  }

  /**
   * @param {Message} message
   * @param {number} [limit] Bytes; above it an error is thrown, since the hub would close the connection for it.
   */
  send(message, limit) {
    this.#transport?.send(message, limit);
  }

  get buffered() {
    return this.#transport?.buffered ?? 0;
  }

  /** Ends it without a word to the owner. @param {number} [code] */
  close(code) {
    if (this.#state === "closed") return;
    this.#enter("closed");
    this.#cancelToken();
    this.#transport?.drop(code);
  }
}
