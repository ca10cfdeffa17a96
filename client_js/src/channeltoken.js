import { Backoff } from "./backoff.js";
import { Timer } from "./timer.js";
import { renewalWait } from "./token.js";

/** @typedef {import("./subscription.js").Subscription} Subscription */
/** @typedef {import("./client.js").AnyEngine} AnyEngine */
/**
 * What the core hands in: this file is loaded later and on its own, and must not bring a second class of errors.
 * @typedef {{askToken: typeof import("./token.js").askToken, HubError: typeof import("./errors.js").HubError}} Core
 */

/** Refusals after which another token may be a better one. */
const ANOTHER = ["token_expired", "token_invalid"];
/** What is left at least, where the hub does not say it. */
const EXPIRING_MS = 30_000;

/**
 * The token of a subscription's channel: asked for before the first command, renewed before its end, and asked for anew
 * when the hub takes it no longer. What a new session gets is the one at hand: a reconnect asks no token endpoint.
 */
export class ChannelToken {
  /** One was refused, and none was good since. */
  #refused = false;
  #subscription;
  #engine;
  #settings;
  #sink;
  #core;
  #backoff;
  #timer;
  /** Gives up asking. */
  #cancel = () => {};

  /**
   * @param {import("./types.js").Settings} settings
   * @param {import("./engine.js").Sink} sink
   * @param {Subscription} subscription Attached to `engine` once it has a token.
   * @param {Core} core
   * @param {AnyEngine} engine
   */
  constructor(settings, sink, subscription, core, engine) {
    const { channel, options } = subscription;
    const { getToken = () => null } = options;
    this.#subscription = subscription;
    this.#engine = engine;
    this.#settings = { ...settings, getToken: (/** @type {any} */ request) => getToken({ channel, ...request }) };
    this.#sink = sink;
    this.#core = core;
    this.#backoff = new Backoff(settings.minBackoffMs, settings.maxBackoffMs, settings.env.random);
    this.#timer = new Timer(settings.env);
    if (subscription.state.name === "ended") return; // it was left while this was loaded
    subscription.right = this;
    this.#begin("connect");
  }

  /**
   * What the topic tells the subscription, seen before it.
   * @param {string} kind
   * @param {any} data
   * @returns {boolean} Whether it is settled here.
   */
  took(kind, data) {
    if (kind === "expiring") this.#renew(data);
    return kind === "expiring" || (kind === "state" && this.#entered(data));
  }

  /** @param {import("./types.js").SubscriptionState} state */
  #entered({ name, error }) {
    this.#timer.clear();
    this.#cancel();
    if (name === "live") {
      this.#refused = false;
      this.#backoff.reset();
    }
    if (!error || this.#refused || !ANOTHER.includes(String(error.cause ?? error.code))) return false;
    this.#refused = true;
    const { state, position } = this.#subscription;
    if (state.name === "live") this.#subscription.apply("state", { name: "waiting" }, position);
    this.#later("refused");
    return true;
  }

  /** @param {import("./types.js").TokenReason} reason */
  #later(reason) {
    this.#timer.set(this.#backoff.next(), () => this.#begin(reason));
  }

  /** With a token to the hub. @param {import("./types.js").TokenReason} reason */
  #begin(reason) {
    const failed = (/** @type {any} */ cause) => {
      this.#sink.error(cause);
      // `retry: false` is the application's own "do not try again"
      if (cause.retry !== false) return this.#later(reason);
      const { channel } = this.#subscription;
      this.#subscription.end(new this.#core.HubError("token", cause.message, { channel, cause }));
    };
    const got = (/** @type {string | null} */ token) => {
      this.#hold(token);
      this.#engine.attach(this.#subscription.channel, this.#subscription);
    };
    this.#cancel = this.#core.askToken(this.#settings, reason, got, failed);
  }

  /** In place. Where that fails it ends at its time, and another one is asked for. @param {number} [leftMs] */
  #renew(leftMs = EXPIRING_MS) {
    const { channel } = this.#subscription;
    const failed = (/** @type {any} */ error) => {
      if (error.code !== "unknown_type") this.#sink.error(error); // an older node: nothing ends there
    };
    const got = (/** @type {string | null} */ token) => {
      if (token === null) return;
      this.#hold(token);
      this.#engine.ask({ type: "renew", channel, token }).catch(failed);
    };
    this.#timer.set(renewalWait(0, leftMs, this.#settings.env.random), () => {
      this.#cancel = this.#core.askToken(this.#settings, "expiring", got, failed);
    });
  }

  /** @param {string | null} token For this subscribe and those after it; none: the connection's own right has to do. */
  #hold(token) {
    this.#subscription.options = { ...this.#subscription.options, token: token ?? undefined };
  }
}
