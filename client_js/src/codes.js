/**
 * window     reconnect inside the window of `hub.close`, with backoff where it gave none
 * backoff    reconnect with backoff
 * renew      get a new token first, once; then reconnect
 * stop       do not reconnect
 * @typedef {"window" | "backoff" | "renew" | "stop"} Then
 */

/** RFC 6455 closes that a second try would only repeat: 1009 is a message too large. */
const HOPELESS = [1002, 1003, 1007, 1008, 1009];
/** A slow consumer, a silent one, one without a token: each comes back by itself. */
const ALONE = [4101, 4102, 4108];

/**
 * What to do after a close (section 8 of the contract): the range of a code says it, so that a code added later is
 * understood.
 * @param {number} code
 * @returns {Then}
 */
export function after(code) {
  const range = Math.floor(code / 100);
  if (range === 44 || HOPELESS.includes(code)) return "stop";
  return range === 42 ? "renew" : range === 41 && !ALONE.includes(code) ? "window" : "backoff";
}
