/**
 * window     reconnect inside the window of `hub.close`, with backoff where it gave none
 * backoff    reconnect with backoff
 * renew      get a new token first, once; then reconnect
 * stop       do not reconnect
 * @typedef {"window" | "backoff" | "renew" | "stop"} Then
 */
export type Then = "window" | "backoff" | "renew" | "stop";
/**
 * What to do after a close (section 8 of the contract): the range of a code says it, so that a code added later is
 * understood.
 * @param {number} code
 * @returns {Then}
 */
export declare function after(code: number): Then;
