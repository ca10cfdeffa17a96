import { HubError } from "./errors.js";

/**
 * Where the socket is, by the address of a hub; the rule of `hub/sdk/addresses.py`, both by one table. Looked at when it
 * is done: a hub that is made where there is no page is asked for none.
 *
 * http(s) is the hub, its socket `/ws` behind it; ws(s) with a path is the socket. In a page also a path of its host.
 * @param {string} url
 * @returns {URL}
 */
export function absolute(url) {
  try {
    const address = new URL(url, /** @type {any} */ (globalThis).location?.href);
    const path = address.pathname.replace(/\/*$/, "");
    address.pathname = /^wss?:.|\/ws$/.test(address.protocol + path) ? path : path + "/ws";
    address.protocol = address.protocol.replace("http", "ws");
    if (/^\s*((http|ws)s?:\/\/[^/]|[./])/i.test(url)) return address;
  } catch {} // what it is not is said below
  throw new HubError("address", "no http(s):// or ws(s):// address");
}
