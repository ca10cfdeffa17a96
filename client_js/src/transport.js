import { encode } from "./codec.js";
import { HubError, asError } from "./errors.js";

/** @typedef {import("./types.js").Message} Message */

const nothing = () => {};

/** Bytes on the wire. @param {string | Uint8Array} data */
const sizeOf = (data) => (typeof data === "string" ? new TextEncoder().encode(data) : data).length;

/**
 * One WebSocket: frames in and out as messages. After `drop` it says nothing any more, so that no late frame of a
 * socket that was given up is ever taken for one of its successor.
 */
export class Transport {
  #socket;
  #codec;

  /**
   * @param {import("./types.js").Env} env
   * @param {import("./types.js").Codec} codec
   * @param {string} url
   * @param {string[]} protocols
   * @param {{open(): void, message(message: Message): void, malformed(error: Error): void,
   *   close(code: number, reason: string): void}} on
   */
  constructor(env, codec, url, protocols, on) {
    const WebSocket = env.WebSocket ?? globalThis.WebSocket;
    if (!WebSocket) throw new HubError("address", "no WebSocket: hand one in");
    const socket = /** @type {import("./types.js").WebSocketLike} */ (new WebSocket(url, protocols));
    let failure = "";
    socket.binaryType = "arraybuffer";
    socket.onopen = () => on.open();
    // browsers tell nothing here; Node.js's `ws` names the HTTP status of a refusal
    socket.onerror = (event) => void (failure = event?.message ?? "");
    socket.onclose = (event) => on.close(event.code, event.reason || failure);
    socket.onmessage = (event) => {
      try {
        on.message(this.#decode(event.data));
      } catch (error) {
        on.malformed(asError(error)); // no JSON, or not what the contract says it is
      }
    };
    this.#socket = socket;
    this.#codec = codec;
  }

  /** @param {string | ArrayBuffer} data */
  #decode(data) {
    const message = /** @type {Message} */ (this.#codec.decode(data));
    if (typeof message?.type !== "string") throw new TypeError("no type");
    return message;
  }

  /**
   * @param {Message} message
   * @param {number} [limit]
   */
  send(message, limit) {
    const data = encode(this.#codec, message);
    if (limit && sizeOf(data) > limit) throw new HubError("too_large", `more than ${limit} bytes`);
    if (this.#socket.readyState === 1) this.#socket.send(data);
  }

  /** Bytes that wait in the browser for the network. */
  get buffered() {
    return this.#socket.bufferedAmount;
  }

  /** @param {number} [code] */
  drop(code = 1000) {
    const socket = this.#socket;
    // not null: `ws` turns an error that nobody hears into an exception
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = nothing;
    socket.close(code);
  }
}
