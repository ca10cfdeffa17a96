/**
 * ms to wait with a renewal, told of the token's end: not before half of its life is over (one that lives for less than
 * a minute is warned of as soon as it is accepted), nor after its end.
 * @param {number} elapsedMs Since it was accepted.
 * @param {number} leftMs
 * @param {() => number} random
 */
export declare function renewalWait(elapsedMs: number, leftMs: number, random: () => number): number;
/**
 * Asks the application for a token, once, with a deadline: a function that hangs is an error like any other, and
 * what it answers later is dropped.
 * @param {import("./types.js").Settings} settings
 * @param {import("./types.js").TokenReason} reason
 * @param {(token: string | null) => void} got
 * @param {(error: Error) => void} failed
 * @returns {() => void} Gives up asking.
 */
export declare function askToken({ env, getToken, connectTimeoutMs }: import("./types.js").Settings, reason: import("./types.js").TokenReason, got: (token: string | null) => void, failed: (error: Error) => void): () => void;
