/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Settings} Settings */
/** A channel of the stream: what was asked for, and where it stands. @typedef {{entry: Message, at: import("./types.js").Position | undefined, paging: boolean}} Place */

/** A WebSocket is tried beside the stream after this, and after twice as long each time. */
const LOOK_MS = 60_000;
const LOOK_MAX_MS = 15 * 60_000;
/** Every 14 s there is at least an empty line. */
const SILENCE_MS = 35_000;
const NOT_HERE = { code: "unavailable", reason: "not over HTTP: wait for a WebSocket", retry: false, outcome: "not_done" };
/** What is published, where. @type {Record<string, string>} */
const POSTS = { publish: "publish", batch: "batch" };

/** Attempts that failed, by whose. @type {WeakMap<Settings, number>} */
const failures = new WeakMap();

/**
 * An attempt has failed, and there was no welcome yet. After two the next one is an HTTP stream that looks like a
 * WebSocket. Where that fails it is a WebSocket's turn again, and so on until one of them works.
 * @param {Settings} settings
 */
export function failed(settings) {
  const { env, fallback = true, codec } = settings;
  const { WebSocket } = env;
  const count = (failures.get(settings) ?? 0) + 1;
  failures.set(settings, count);
  // who hands in a constructor knows what it wants
  if (!fallback || count % 2 || codec.protocol !== "hub.v1.json" || WebSocket !== globalThis.WebSocket) return;
  const back = () => void (env.WebSocket = WebSocket);
  env.WebSocket = class extends StreamSocket {
    /** @param {string} url @param {string[]} protocols */
    constructor(url, protocols) {
      super(url, protocols, { ...env, WebSocket }, back);
    }
  };
}

/** An HTTP stream, and requests beside it, behind the interface of a WebSocket that speaks `hub.v1.json`. */
export class StreamSocket {
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "";
  /** @type {any} */ onopen = null;
  /** @type {any} */ onmessage = null;
  /** @type {any} */ onclose = null;
  /** @type {any} */ onerror = null;
  /** @type {Map<string, Place>} */
  #places = new Map();
  /** The command whose answer is collected, by channel. @type {{id: any, many: boolean, left: Set<string>, results: Map<string, Message>, order: string[]} | null} */
  #asked = null;
  /** Commands that wait until the one before is answered. @type {Message[]} */
  #waiting = [];
  /** The stream that counts. @type {AbortController} */
  #stream = new AbortController();
  #heardAt = 0;
  #token = "";
  #lookMs = LOOK_MS;
  /** @type {unknown} */
  #timer;
  #base;
  #env;
  #back;
  #url;

  /**
   * @param {string} url Of the WebSocket.
   * @param {string[]} protocols
   * @param {import("./types.js").Env} env With the WebSocket that is tried again.
   * @param {() => void} back The next attempt is a WebSocket.
   */
  constructor(url, protocols, env, back) {
    this.#url = url;
    this.#env = env;
    this.#back = back;
    const address = new URL(url);
    this.#base = address.origin.replace(/^ws/, "http") + address.pathname.replace(/\/[^/]*$/, "");
    const entry = protocols.find((each) => each.startsWith("hub.token."));
    const token = entry ? entry.slice("hub.token.".length) : address.searchParams.get("token");
    queueMicrotask(() => {
      if (this.readyState !== 0) return;
      this.readyState = 1;
      this.onopen?.({});
      if (token) this.#enter(token);
    });
  }

  /** @param {string} data */
  send(data) {
    const command = JSON.parse(data);
    const { type, id, ...fields } = command;
    if (type === "authenticate") return void (this.#token ? this.#renew(id, fields.token) : this.#enter(fields.token));
    if (type === "ping") return this.#ping(id);
    if (type === "subscribe" || type === "unsubscribe") return this.#want(command);
    if (type === "renew") return this.#renewChannel(id, fields);
    if (POSTS[type]) return void this.#ask(id, `/v1/${POSTS[type]}`, "hub.published", fields);
    if (type === "history") return void this.#ask(id, this.#path(fields, "history", ["limit"]), "hub.history");
    if (type === "presence") return void this.#ask(id, this.#path(fields, "presence", ["group"]), "hub.presence");
    this.#hear({ type: "hub.error", id, channel: fields.channel, ...NOT_HERE });
  }

  /** @param {number} [_code] */
  close(_code) {
    this.readyState = 3;
    this.#stream.abort();
    this.#env.clearTimeout(this.#timer);
  }

  /** @param {Message} message */
  #hear(message) {
    if (this.readyState === 1) this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** @param {number} code @param {string} reason */
  #over(code, reason) {
    if (this.readyState === 3) return;
    this.close();
    this.onclose?.({ code, reason });
  }

  // --- requests ---------------------------------------------------------------------------------------------

  /** @param {string} path @param {RequestInit} [init] */
  #fetch(path, init = {}) {
    const headers = { Authorization: `Bearer ${this.#token}`, Accept: "application/x-ndjson" };
    return fetch(this.#base + path, { credentials: "omit", cache: "no-store", ...init, headers });
  }

  /** What the hub says instead, as an error of the wire. @param {Response} answer @returns {Promise<any>} */
  async #problem(answer) {
    const problem = await answer.json().catch(() => ({}));
    const { status } = answer;
    const said = [404, 405].includes(status) ? `HTTP ${status} from ${this.#base}, and not by a hub: is it mounted elsewhere?` : `HTTP ${status}`;
    const { code = "unavailable", reason = said, retry = status >= 500, ...more } = problem;
    const { channel, outcome, retry_after_ms } = more;
    return { code, reason, retry, channel, outcome, retry_after_ms };
  }

  /** @param {string | undefined} id @param {string} path @param {string} type @param {object} [body] */
  async #ask(id, path, type, body) {
    try {
      const answer = await this.#fetch(path, body && { method: "POST", body: JSON.stringify(body) });
      const found = answer.ok ? { type, ...(await answer.json()) } : { type: "hub.error", ...(await this.#problem(answer)) };
      if (id !== undefined || !answer.ok) this.#hear({ ...found, id });
    } catch (error) {
      this.#over(1006, String(error)); // what has no answer is asked again after it
    }
  }

  /** @param {any} fields @param {string} what @param {string[]} names */
  #path(fields, what, names) {
    const query = new URLSearchParams();
    for (const name of names) if (fields[name] !== undefined) query.set(name, fields[name]);
    if (fields.since) query.set("since", `${fields.since.epoch}:${fields.since.offset}`);
    return `/v1/channels/${encodeURIComponent(fields.channel)}/${what}?${query}`;
  }

  // --- who asks ---------------------------------------------------------------------------------------------

  /** A stream needs a channel; that the token is good is asked without one. @param {string} token */
  async #enter(token) {
    this.#token = token;
    try {
      const answer = await this.#fetch("/v1/tickets", { method: "POST" });
      if (!answer.ok) return this.#refused(await this.#problem(answer));
      await answer.body?.cancel();
    } catch (error) {
      this.#back();
      return this.#over(1006, String(error));
    }
    this.#heardAt = this.#env.now();
    this.#hear({ type: "hub.welcome", connection: "stream", user: userOf(token), heartbeat_ms: 25_000, limits: { message_bytes: 65_536 } });
    this.#look();
  }

  /** @param {any} problem */
  #refused(problem) {
    this.#hear({ type: "hub.error", ...problem });
    if (/^(token_|unauth)/.test(problem.code)) return this.#over(4202, problem.reason);
    if (!problem.retry) this.#back();
    this.#over(problem.retry ? 4103 : 1006, problem.reason);
  }

  /** @param {any} id @param {string} token */
  async #renew(id, token) {
    const before = this.#token;
    this.#token = token;
    const answer = await this.#fetch("/v1/tickets", { method: "POST" }).catch(() => null);
    if (answer?.ok) {
      this.#hear({ type: "hub.authenticated", id, user: userOf(token) });
      return this.#open();
    }
    this.#token = before;
    const problem = answer ? await this.#problem(answer) : { ...NOT_HERE, reason: "no answer", retry: true };
    this.#hear({ type: "hub.error", id, ...problem });
  }

  /** The stream begins anew with it, from where it stands: a token that is refused ends the channel there. @param {any} id @param {any} fields */
  #renewChannel(id, { channel, token }) {
    const place = this.#places.get(channel);
    if (!place) return this.#hear({ type: "hub.error", id, channel, code: "conflict", reason: "not subscribed", retry: false });
    place.entry = { ...place.entry, token };
    this.#hear({ type: "hub.renewed", id, channel });
    this.#open();
  }

  /** The stream shows that the link is alive; without one there is nothing to be missed. @param {any} id */
  #ping(id) {
    if (this.#places.size && this.#env.now() - this.#heardAt > SILENCE_MS) return;
    this.#hear({ type: "hub.pong", id, time: this.#env.now() });
  }

  // --- the stream -------------------------------------------------------------------------------------------

  /** @param {Message} command */
  #want(command) {
    this.#waiting.push(command);
    if (!this.#asked) this.#next();
  }

  /** One command after the other: each begins the stream anew, from where it stands. @returns {void} */
  #next() {
    const command = this.#waiting.shift();
    if (!command) return;
    const { id, channel = "" } = command;
    if (command.type === "unsubscribe") {
      this.#places.delete(channel);
      this.#hear({ type: "hub.unsubscribed", id, channel });
      this.#open();
      return this.#next();
    }
    const { type: _type, id: _id, channels, ...one } = command;
    const entries = channels ?? [one];
    const order = entries.map((/** @type {Message} */ entry) => entry.channel);
    for (const entry of entries) this.#places.set(entry.channel, { entry, at: entry.since, paging: false });
    this.#asked = { id, many: !!channels, left: new Set(order), results: new Map(), order };
    this.#open();
  }

  async #open() {
    this.#stream.abort();
    const own = (this.#stream = new AbortController());
    if (this.#places.size === 0) return;
    const channels = [...this.#places.values()].map(({ entry, at, paging }) => ({ ...entry, since: paging ? undefined : at }));
    try {
      const init = { method: "POST", body: JSON.stringify({ channels }), signal: own.signal };
      const answer = await this.#fetch("/v1/stream", init);
      if (!answer.ok) return void (own === this.#stream && this.#stopped(await this.#problem(answer)));
      for await (const line of lines(/** @type {ReadableStream<Uint8Array>} */ (answer.body))) {
        if (own !== this.#stream) return;
        this.#heardAt = this.#env.now();
        if (line) this.#take(JSON.parse(line));
      }
      if (own === this.#stream) this.#over(1006, "the stream has ended");
    } catch (error) {
      if (own === this.#stream) this.#over(1006, String(error));
    }
  }

  /** The stream could not be had, or was ended, because of one channel or of all. @param {any} problem */
  #stopped(problem) {
    const { channel } = problem;
    if (!channel || !this.#places.has(channel)) return this.#refused(problem);
    this.#places.delete(channel);
    if (this.#asked?.left.has(channel)) this.#answered(channel, problem);
    else this.#hear({ type: "hub.unsubscribed", channel, code: problem.code, reason: problem.reason });
    this.#open();
  }

  /** @param {Message} message */
  #take(message) {
    const { type, channel = "" } = message;
    const place = this.#places.get(channel);
    if (type === "hub.welcome" || type === "hub.close") return;
    if (type === "hub.error") return this.#stopped(message);
    if (type === "hub.drain") return this.#over(1001, "the node departs");
    if (type === "hub.unsubscribed") this.#places.delete(channel);
    if (!place) return this.#hear(message);
    const told = type === "hub.subscribed" ? this.#subscribed(place, message) : message;
    this.#move(place, message);
    if (told) this.#hear(told);
    if (type === "hub.subscribed" && this.#asked?.left.has(channel)) this.#answered(channel, message);
  }

  /** One that had been there before goes on where it was, or is told why not. @param {Place} place @param {Message} message */
  #subscribed(place, message) {
    if (this.#asked?.left.has(message.channel ?? "")) return null;
    if (message.recovered || message.epoch === undefined) return null;
    return { gap: null, ...message, type: "hub.resubscribe" };
  }

  /** Where the stream stands. @param {Place} place @param {Message} message */
  #move(place, message) {
    const { type, epoch, offset, more, filled, to, recovered } = message;
    if (!type.startsWith("hub.")) {
      if (offset !== undefined && place.at) place.at = { ...place.at, offset };
    } else if (type === "hub.subscribed" || type === "hub.resubscribe") {
      if (epoch === undefined) return;
      const stays = type === "hub.subscribed" ? recovered : !message.gap;
      place.paging = !!more;
      place.at = stays && place.at ? { epoch, offset: place.at.offset } : { epoch, offset };
    } else if (type === "hub.gap" && !filled && place.at) place.at = { ...place.at, offset: to };
    else if (type === "hub.snapshot") place.paging = !!more;
  }

  /** @param {string} channel @param {Message | any} result */
  #answered(channel, result) {
    const asked = this.#asked;
    if (!asked) return;
    const { id: _id, type: _type, ...fields } = result;
    asked.left.delete(channel);
    asked.results.set(channel, { channel, ...fields });
    if (asked.left.size) return;
    this.#asked = null;
    const results = asked.order.map((each) => asked.results.get(each));
    const [first] = results;
    if (asked.many) this.#hear({ type: "hub.subscribed", id: asked.id, results });
    else this.#hear({ ...first, type: first?.code ? "hub.error" : "hub.subscribed", id: asked.id });
    this.#next();
  }

  // --- back -------------------------------------------------------------------------------------------------

  /** Now and then a WebSocket is opened beside it: where that works, a drain hands everything over to one. */
  #look() {
    this.#timer = this.#env.setTimeout(() => {
      this.#lookMs = Math.min(2 * this.#lookMs, LOOK_MAX_MS);
      const { WebSocket } = this.#env;
      if (!WebSocket || this.readyState === 3) return;
      const address = new URL(this.#url);
      address.search = "";
      const probe = /** @type {any} */ (new WebSocket(address.href, ["hub.v1.json"]));
      const again = () => this.readyState === 1 && this.#look();
      probe.onclose = again;
      probe.onerror = () => {};
      probe.onopen = () => {
        probe.onclose = null;
        probe.close(1000);
        this.#back();
        this.#hear({ type: "hub.drain", reconnect: { min_ms: 0, max_ms: 0 }, deadline_ms: 30_000 });
      };
    }, this.#lookMs * (0.5 + this.#env.random() / 2));
  }
}

/** Lines of a body, as they come. @param {ReadableStream<Uint8Array>} body */
async function* lines(body) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = /** @type {string} */ (parts.pop());
    yield* parts;
  }
}

/** The claim `sub`, for show. @param {string} token */
function userOf(token) {
  try {
    const [, claims] = token.split(".");
    return JSON.parse(atob(claims.replace(/-/g, "+").replace(/_/g, "/"))).sub;
  } catch {
    return ""; // an opaque one: the hub knows
  }
}
