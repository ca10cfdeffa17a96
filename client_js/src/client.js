import { absolute } from "./address.js";
import { encode, json } from "./codec.js";
import { Emitter } from "./emitter.js";
import { Engine } from "./engine.js";
import { environment } from "./env.js";
import { HubError, asError } from "./errors.js";
import { Requests } from "./requests.js";
import { Subscription } from "./subscription.js";
import { askToken } from "./token.js";

/** @typedef {import("./types.js").HubState} HubState */
/** @typedef {import("./types.js").HubEvent} HubEvent */
/** @typedef {import("./types.js").HubOptions} HubOptions */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {Engine | import("./shared.js").SharedEngine} AnyEngine */

/** @param {string} url @param {HubOptions} options @returns {import("./types.js").Settings} */
function settingsOf(url, { env, WebSocket, ...given }) {
  const options = /** @type {Record<string, unknown>} */ (given);
  for (const name in options) if (options[name] === undefined) delete options[name];
  return {
    url,
    getToken: () => null,
    codec: json,
    autoConnect: true,
    whileDisconnected: "queue",
    maxPending: 1000,
    timeoutMs: 10_000,
    connectTimeoutMs: 10_000,
    pingAfterMs: 0,
    pongTimeoutMs: 8000,
    stableMs: 10_000,
    minBackoffMs: 500,
    maxBackoffMs: 20_000,
    ...given,
    env: environment({ ...env, ...(WebSocket && { WebSocket }) }),
  };
}

/** @type {HubState} */
const IDLE = { name: "idle" };

/** What code that is loaded later needs of this bundle, and must not bring again. */
const CORE = { Engine, HubError, Requests, absolute, askToken, encode };

/** What an answer says. @param {import("./types.js").Message} answer @returns {any} */
const contents = ({ type: _type, id: _id, ...fields }) => fields;

/** @param {unknown} since */
function checkPosition(since) {
  const { epoch, offset } = /** @type {any} */ (since);
  if (typeof epoch !== "string" || !Number.isSafeInteger(offset) || offset < 0) {
    throw new TypeError("since must be a position: {epoch, offset}");
  }
}

/**
 * A connection to the hub that comes back, and what it carries.
 *
 * Events: `state` (HubState), `error` (what nobody else can be told: a throwing callback, a failed renewal, a
 * malformed frame); of channels that the token brought and nobody subscribed to here `channel` (whether the hub serves
 * it: one that it could not subscribe at first comes later), `event` and `gap`.
 * @extends {Emitter<{state: [HubState], error: [Error], event: [HubEvent, Position | null],
 *   gap: [import("./types.js").Gap, string, Position | null],
 *   channel: [string, import("./types.js").SubscriptionState, Position | null]}>}
 */
export class Hub extends Emitter {
  /** @type {AnyEngine | undefined} */
  #engine;
  /** What it is to be asked when it is there. @type {((engine: AnyEngine) => void)[]} */
  #calls = [];
  #settings;
  /** @type {Set<Subscription>} */
  #subscriptions = new Set();
  /** @type {import("./engine.js").Sink} */
  #sink = {
    state: (state) => void this.emit("state", state),
    error: (error) => this.#complain(error),
    unasked: (kind, data, channel, position) => {
      if (kind === "event") this.emit("event", data, position);
      else if (kind === "gap") this.emit("gap", data, channel, position);
      else if (kind === "state") this.emit("channel", channel, data, position);
    },
  };

  /**
   * @param {string} url The hub's address, or its socket's; see `absolute`.
   * @param {HubOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    const settings = (this.#settings = settingsOf(url, options));
    const { shared } = options;
    if (shared && settings.env.locks && settings.env.BroadcastChannel) this.#share(shared);
    else this.#engine = new Engine(settings, this.#sink);
    // in a microtask: whoever listens to `state` from the same turn hears all of it
    if (settings.autoConnect) queueMicrotask(() => this.state.name === "idle" && this.connect());
  }

  /**
   * Its code is loaded by who wants it; a page that cannot have it gets a socket of its own.
   * @param {boolean | string} shared
   */
  async #share(shared) {
    try {
      const { SharedEngine } = await import("./shared.js");
      this.#engine = new SharedEngine(this.#settings, this.#sink, shared, CORE);
    } catch (error) {
      this.#complain(asError(error));
      this.#engine = new Engine(this.#settings, this.#sink);
    }
    for (const call of this.#calls) call(this.#engine);
  }

  /** Now, or when there is an engine. @param {(engine: AnyEngine) => void} call */
  #run(call) {
    if (this.#engine) call(this.#engine);
    else this.#calls.push(call);
  }

  /** @returns {HubState} */
  get state() {
    return this.#engine?.state ?? IDLE;
  }

  /** Connects, or connects again after `closed`. */
  connect() {
    this.#run((engine) => engine.start());
  }

  /** Leaves for good; requests that wait are rejected. Subscriptions stay, and resume after `connect()`. */
  close() {
    this.#run((engine) => engine.stop({ reason: "closed by the application" }));
  }

  /**
   * @param {string} channel
   * @param {import("./types.js").SubscribeOptions} [options]
   */
  subscribe(channel, options = {}) {
    const { since, presence } = options;
    if (since) checkPosition(since);
    // what could never be sent, half an emoji, must not be tried beside what can
    encode(this.#settings.codec, { channel, since, presence });
    const subscription = new Subscription(channel, options, {
      ask: (command) => this.#ask(command),
      leave: (leaving) => this.#leave(leaving),
      thrown: (error) => this.thrown(error),
    });
    this.#subscriptions.add(subscription);
    if (options.getToken) this.#bringToken(subscription);
    else this.#run((engine) => engine.attach(channel, subscription));
    return subscription;
  }

  /** Its code is loaded by who wants it. @param {Subscription} subscription */
  #bringToken(subscription) {
    import("./channeltoken.js").then(
      ({ ChannelToken }) => this.#run((engine) => new ChannelToken(this.#settings, this.#sink, subscription, CORE, engine)),
      (cause) => subscription.end(new HubError("token", String(cause), { cause })),
    );
  }

  /** @param {Subscription} subscription */
  #leave(subscription) {
    if (!this.#subscriptions.delete(subscription) || subscription.state.name === "ended") return;
    this.#run((engine) => engine.detach(subscription.channel, subscription));
    subscription.end();
  }

  /**
   * @param {string} channel
   * @param {string} event The application's type.
   * @param {any} payload Values of JSON.
   * @param {import("./types.js").PublishOptions} [options]
   * @returns {Promise<import("./types.js").Published>} Rejects with a `HubError`: `unknown_outcome` where it may
   *   have been stored.
   */
  async publish(channel, event, payload, { key, final, version, eventId, meta, ack, timeoutMs } = {}) {
    const command = { type: "publish", channel, event, payload, key, final, version, event_id: eventId, meta };
    if (ack === false) {
      this.#engine?.tell(command);
      return { channel };
    }
    const { name } = this.state;
    if (this.#settings.whileDisconnected === "refuse" && name !== "connected") {
      throw new HubError("disconnected", "not connected", { channel, retry: true });
    }
    command.event_id ??= this.#newId();
    const { event_id, ...published } = contents(await this.#ask(command, timeoutMs));
    return { channel, ...published, eventId: event_id };
  }

  /** @param {import("./types.js").Message} command @param {number} [timeoutMs] */
  async #ask(command, timeoutMs) {
    if (this.state.name === "closed") throw new HubError("closed", "closed");
    return new Promise((resolve) => this.#run((engine) => resolve(engine.ask(command, timeoutMs))));
  }

  #newId() {
    const { random } = this.#settings.env;
    const part = () => random().toString(36).slice(2);
    return `e_${part()}${part()}`;
  }

  /**
   * Stored events after `since`, or the newest; oldest first.
   * @param {string} channel
   * @param {{since?: Position, limit?: number}} [options]
   * @returns {Promise<import("./types.js").History>}
   */
  async history(channel, { since, limit } = {}) {
    return contents(await this.#ask({ type: "history", channel, since, limit }));
  }

  /**
   * Who is in a channel, without subscribing to it.
   * @param {string} channel
   * @param {{group?: "user"}} [options] `user`: one entry a user.
   * @returns {Promise<import("./types.js").Member[]>}
   */
  async presence(channel, { group } = {}) {
    return (await this.#ask({ type: "presence", channel, group })).members;
  }

  /** The hub's time, ms. @returns {Promise<number>} */
  async ping() {
    return (await this.#ask({ type: "ping" })).time;
  }

  /** @param {Error} error */
  #complain(error) {
    if (!this.emit("error", error)) console.error(error);
  }

  /** @protected @override @param {unknown} cause @param {string} [name] */
  thrown(cause, name) {
    const error = new HubError("callback", `a callback threw: ${cause}`, { cause });
    // one that hears errors and throws is not told of it
    if (name === "error") console.error(error);
    else this.#complain(error);
  }
}
