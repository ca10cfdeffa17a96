/** @typedef {import("../types/index.js").Outcome} Outcome */

const UNSURE = ["unavailable", "internal", "timeout", "unknown_outcome"];

/**
 * The one error of this client: what the hub refused (its codes), and what never reached it:
 * `timeout`, `unknown_outcome`, `disconnected`, `closed`, `queue_full`, `unsubscribed`, `token`, `malformed`,
 * `callback`.
 */
export class HubError extends Error {
  /**
   * @param {string} code
   * @param {string} reason
   * @param {{channel?: string, retry?: boolean, retry_after_ms?: number, outcome?: Outcome, cause?: unknown}} [more]
   */
  constructor(code, reason, more = {}) {
    super(reason, { cause: more.cause });
    this.name = "HubError";
    this.code = code;
    this.channel = more.channel;
    /** Whether the same request may succeed later, unchanged. */
    this.retry = more.retry ?? false;
    /** @type {number | undefined} Not sooner than this. */
    this.retryAfterMs = more.retry_after_ms;
    /** Whether it was done all the same: a hub that says nothing of it is sure of what it refuses, not of what failed. */
    this.outcome = more.outcome ?? (UNSURE.includes(code) ? "unknown" : "not_done");
  }

  /**
   * What `hub.error`, or a failed entry of `results`, says.
   * @param {any} message
   */
  static from(message) {
    return new HubError(message.code, message.reason, message);
  }
}

/**
 * Whatever was thrown, as an Error.
 * @param {unknown} thrown
 * @returns {Error}
 */
export const asError = (thrown) => (thrown instanceof Error ? thrown : new Error(String(thrown)));
