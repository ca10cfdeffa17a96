import { HubError, asError } from "./errors.js";

/** JSON.stringify escapes half of a surrogate pair like this, and nothing else; a backslash of the text comes in pairs. */
const HALF = /[^\\](\\\\)*\\ud[89a-f]/;

/** JSON in text frames. @type {import("./types.js").Codec} */
export const json = {
  protocol: "hub.v1.json",
  encode(message) {
    const text = JSON.stringify(message);
    if (HALF.test(text)) throw new TypeError("half of a surrogate pair");
    return text;
  },
  decode(data) {
    if (typeof data !== "string") throw new TypeError("a binary frame");
    return JSON.parse(data);
  },
};

/**
 * A message as it is sent; what can't be is told to whoever asked for it.
 * @param {import("./types.js").Codec} codec
 * @param {object} message
 */
export function encode(codec, message) {
  try {
    return codec.encode(message);
  } catch (cause) {
    throw new HubError("bad_message", asError(cause).message, { cause });
  }
}
