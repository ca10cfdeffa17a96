import type { Codec } from "./index.js";

/** MessagePack in binary frames: the values of JSON only, which is all that the hub speaks. */
export const msgpack: Codec;
