/** @typedef {"reconnect" | "renew" | "stop"} Then */

/** RFC 6455 closes that a second try would only repeat: 1009 is a message too large. */
const HOPELESS = new Set([1002, 1003, 1007, 1009]);

/**
 * What to do after a close: the range of a code says it (section 7 of the contract), so that a code added later
 * is understood. Whether `reconnect` waits for a window or for the backoff depends on `hub.close`, not on the code.
 * @param {number} code
 * @returns {Then}
 */
export function after(code) {
  if (HOPELESS.has(code)) return "stop";
  const range = Math.floor(code / 100);
  return range === 42 ? "renew" : range === 44 ? "stop" : "reconnect";
}
