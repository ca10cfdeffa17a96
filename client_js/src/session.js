import { absolute } from "./address.js";
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
 * token    the application is asked for one
 * opening  the socket opens, and `hub.welcome` is awaited
 * ready    the session stands
 * closed   over, and silent for ever
 * @typedef {"token" | "opening" | "ready" | "closed"} SessionState
 */

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
  #on;
  /** The last complaint before a refusal: it says why, and how long to stay away. @type {Partial<Message>} */
  #complaint = {};
  /** @type {Message | null} */
  welcome = null;

  /**
   * @param {import("./types.js").Settings} settings
   * @param {import("./types.js").TokenReason} reason
   * @param {string | undefined} resume
   * @param {{ready(session: Session): void, message(session: Session, message: Message): void,
   *   end(session: Session, why: End): void}} on
   */
  constructor(settings, reason, resume, on) {
    this.#settings = settings;
    this.#on = on;
    this.#deadline = new Timer(settings.env);
    this.#cancelToken = askToken(
      settings,
      reason,
      (token) => this.#open(token, resume),
      // `retry: false` is the application's own "do not try again": it logged out, say
      (error) => this.#failed(error, /** @type {any} */ (error).retry === false ? "stop" : "backoff"),
    );
  }

  /** @param {SessionState} state */
  #enter(state) {
    this.#state = state;
    this.#deadline.clear();
  }

  /** @param {string | null} token @param {string | undefined} resume */
  #open(token, resume) {
    const { env, codec, connectTimeoutMs, url, auth = "location" in globalThis ? "subprotocol" : "message" } = this.#settings;
    const protocols = [codec.protocol];
    this.#enter("opening");
    try {
      const address = absolute(url);
      // `resume` opens no door, so the URL may hold it; it is wanted there before the first message (admission)
      if (resume) address.searchParams.set("resume", resume);
      if (token !== null && auth === "query") address.searchParams.set("token", token);
      if (token !== null && auth === "subprotocol") protocols.push(`hub.token.${token}`);
      this.#transport = new Transport(env, codec, address.href, protocols, {
        open: () => {
          if (token !== null && auth === "message") this.send({ type: "authenticate", token, resume });
        },
        message: (message) => this.#hear(message),
        malformed: (cause) => this.#failed(new HubError("malformed", `malformed frame: ${cause.message}`, { cause })),
        close: (code, reason) => this.#over(code, reason),
      });
    } catch (thrown) {
      return this.#refused(asError(thrown));
    }
    // one deadline for the socket and the welcome: a half-open network may swallow either
    this.#deadline.set(connectTimeoutMs, () => this.#end({ reason: "no answer in time", then: "backoff" }));
  }

  /** No socket was made: by this client, or by a browser whose words may quote the token. @param {Error} error */
  #refused(error) {
    const { name, message } = error;
    const told = error instanceof HubError ? error : new HubError("address", /token/.test(message) ? name : message);
    // neither an address nor a protocol becomes a good one by trying again
    this.#failed(told, told === error || name === "SyntaxError" ? "stop" : "backoff");
  }

  /** @param {Message} message */
  #hear(message) {
    const { type } = message;
    // the close itself may be queued behind much, or never come: this is as good, and what is lost is resumed
    if (type === "hub.close") return this.#over(message.code, message.reason, message.reconnect);
    if (this.#state === "ready") return this.#on.message(this, message);
    if (type === "hub.error") this.#complaint = message;
    if (type !== "hub.welcome") return;
    this.#enter("ready");
    this.#complaint = {};
    this.welcome = message;
    this.#on.ready(this);
  }

  /** @param {number} code @param {string} reason @param {Window | null} [window] */
  #over(code, reason, window) {
    const { reason: complaint = "", retry_after_ms: retryAfterMs } = this.#complaint;
    const then = after(code);
    this.#end({ code, reason: reason || complaint, then, window: then === "window" ? window : null, retryAfterMs });
  }

  /** @param {Error} error @param {import("./codes.js").Then} [then] */
  #failed(error, then = "backoff") {
    this.#end({ reason: error.message, error, then });
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
