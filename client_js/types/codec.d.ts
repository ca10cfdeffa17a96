/** JSON in text frames. @type {import("./types.js").Codec} */
export declare const json: import("./types.js").Codec;
/**
 * A message as it is sent; what can't be is told to whoever asked for it.
 * @param {import("./types.js").Codec} codec
 * @param {object} message
 */
export declare function encode(codec: import("./types.js").Codec, message: object): string | Uint8Array<ArrayBuffer>;
