import { HubError } from "./errors.js";

/**
 * Where to connect, looked at when it is done: a hub that is made where there is no page is asked for none.
 * @param {string} url Absolute, or relative to the page; http means ws.
 * @returns {URL}
 */
export function absolute(url) {
  try {
    const address = new URL(url, /** @type {any} */ (globalThis).location?.href);
    address.protocol = address.protocol.replace("http", "ws");
    if (address.protocol.startsWith("ws")) return address;
  } catch {} // what it is not is said below
  throw new HubError("address", "not the address of a WebSocket");
}
