// Who has signed in. The key or token that was typed is sent once, in a header, and forgotten: a ticket stands for
// it, which ends with the tab, with its time, and when the token is revoked. Nothing of either stands in an address.

const KEPT = "hub-console-ticket";
const BASE = new URL("../", import.meta.url);

export class Refused extends Error {
  constructor(status, body) {
    super(body.reason ?? body.detail ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code;
  }
}

let ticket = sessionStorage.getItem(KEPT);
/** What `GET /v1/console` said. */
export let me = null;
const ended = new Set();

export const onEnd = (run) => ended.add(run);
export const token = () => ticket;

/** The WebSocket's address, beside the API. */
export function socketUrl() {
  const url = new URL(me.socket.replace(/^\//, ""), BASE);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}
export const scriptUrl = (name) => new URL(name, BASE).href;

async function send(method, path, body, bearer) {
  const headers = { Authorization: `Bearer ${bearer}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path.replace(/^\//, ""), BASE), {
      method, headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(15_000),
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, { reason: "the node does not answer" });
  }
  const value = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, value);
  return value;
}

/** A request as who has signed in; where the ticket is over, it signs out. */
export async function request(method, path, body) {
  try {
    return await send(method, path, body, ticket);
  } catch (error) {
    if (error.status === 401 && me) signOut(error.message);
    throw error;
  }
}
export const get = (path) => request("GET", path);
export const post = (path, body) => request("POST", path, body);

export async function signIn(credentials) {
  if (!/^[!-~]+$/.test(credentials)) throw new Error("a key or token is printable ASCII without spaces");
  const answer = await send("POST", "v1/tickets", { admin: true }, credentials);
  ticket = answer.ticket;
  sessionStorage.setItem(KEPT, ticket);
  return resume();
}

/** Goes on with the ticket of this tab; null where there is none that is good. */
export async function resume() {
  if (!ticket) return null;
  try {
    me = await send("GET", "v1/console", undefined, ticket);
  } catch (error) {
    if (error.status === 401 || error.status === 403) forget();
    else throw error;
    return null;
  }
  return me;
}

function forget() {
  ticket = me = null;
  sessionStorage.removeItem(KEPT);
}

export function signOut(why = "") {
  forget();
  for (const run of ended) run(why);
}
