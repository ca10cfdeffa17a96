/** JSON in text frames. @type {import("./types.js").Codec} */
export const json = {
  protocol: "hub.v1.json",
  encode: JSON.stringify,
  decode(data) {
    if (typeof data !== "string") throw new TypeError("a binary frame");
    return JSON.parse(data);
  },
};
