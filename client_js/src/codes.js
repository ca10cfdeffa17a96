/** @typedef {"reconnect" | "renew" | "stop"} Then */

/** RFC 6455 closes that a second try would only repeat: 1009 is a message too large. */
const HOPELESS = new Set([1002, 1003, 1007, 1009]);

/** Draining, overloaded, limit: the hub says when to come back, where it can. @param {number} code */
export const keepsWindow = (code) => [4100, 4103, 4129].includes(code);

/**
 * What to do after a close: the range of a code says it (section 7 of the contract), so that a code added later
 * is understood.
 * @param {number} code
 * @returns {Then}
 */
export function after(code) {
  if (HOPELESS.has(code)) return "stop";
  const range = Math.floor(code / 100);
  return range === 42 ? "renew" : range === 44 ? "stop" : "reconnect";
}
