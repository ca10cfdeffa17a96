/** @typedef {"not_done" | "unknown"} Outcome */
export type Outcome = "not_done" | "unknown";
/**
 * The one error of this client: what the hub refused (its codes), and what never reached it:
 * `timeout`, `unknown_outcome`, `disconnected`, `closed`, `queue_full`, `unsubscribed`, `token`, `malformed`,
 * `callback`.
 */
export declare class HubError extends Error {
    code: string;
    channel: string | undefined;
    /** Whether the same request may succeed later, unchanged. */
    retry: boolean;
    /** @type {number | undefined} Not sooner than this. */
    retryAfterMs: number | undefined;
    /** Whether it was done all the same: a hub that says nothing of it is sure of what it refuses, not of what failed. */
    outcome: Outcome;
    /**
     * @param {string} code
     * @param {string} reason
     * @param {{channel?: string, retry?: boolean, retry_after_ms?: number, outcome?: Outcome, cause?: unknown}} [more]
     */
    constructor(code: string, reason: string, more?: {
        channel?: string;
        retry?: boolean;
        retry_after_ms?: number;
        outcome?: Outcome;
        cause?: unknown;
    });
    /**
     * What `hub.error`, or a failed entry of `results`, says.
     * @param {any} message
     */
    static from(message: any): HubError;
}
/**
 * Whatever was thrown, as an Error.
 * @param {unknown} thrown
 * @returns {Error}
 */
export declare const asError: (thrown: unknown) => Error;
