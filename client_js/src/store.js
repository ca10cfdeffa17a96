/**
 * A channel as something that is shown: one object that is replaced when it changes, at most once a frame. It is what
 * the hooks of `react.js` are made of, and knows nothing of React.
 *
 * @typedef {import("./client.js").Hub} Hub
 * @typedef {import("./types.js").HubEvent} HubEvent
 * @typedef {import("./subscription.js").Subscription} Subscription
 * @typedef {import("../types/react.js").ChannelView} ChannelView
 * @typedef {import("../types/react.js").ChannelOptions} ChannelOptions
 * @typedef {{subscribe(changed: () => void): () => void, view(): ChannelView,
 *   listen(listener: (event: HubEvent) => void): () => void, subscription(): Subscription | undefined}} Access
 */

/** @type {ChannelView} */
export const EMPTY = Object.freeze({
  state: "waiting", error: undefined, ready: false, events: [], byKey: new Map(), members: [], unread: undefined, gap: null,
});
/** In a page that is hidden no frame is drawn, and its title may still show a number. */
const HIDDEN_MS = 100;
const LIMIT = 100;

/** Stores that changed since the last frame. @type {Set<ChannelStore>} */
const changed = new Set();

/** @param {ChannelStore} store */
function schedule(store) {
  changed.add(store);
  if (changed.size > 1) return;
  const { requestAnimationFrame, cancelAnimationFrame } = globalThis;
  const timer = setTimeout(() => (cancelAnimationFrame?.(frame), flush()), HIDDEN_MS);
  const frame = requestAnimationFrame?.(() => (clearTimeout(timer), flush()));
  if (!requestAnimationFrame) clearTimeout(timer), setTimeout(flush);
}

/** All in one turn, so that whoever renders renders once. */
function flush() {
  const stores = [...changed];
  changed.clear();
  for (const store of stores) store.show();
}

/** One subscription, for as many components as show it. */
class ChannelStore {
  /** @type {ChannelView} */
  view = EMPTY;
  /** @type {Set<() => void>} */
  listeners = new Set();
  users = 0;
  /** @type {Subscription} */
  subscription;
  #limit;
  /** @type {Map<string, HubEvent>} */
  #latest = new Map();
  /** @type {HubEvent[]} */
  #events = [];
  /** @type {Partial<ChannelView>} */
  #changes = {};

  /** @param {Hub} hub @param {string} channel @param {ChannelOptions} options */
  constructor(hub, channel, { limit = LIMIT, onEvent: _, ...options }) {
    this.#limit = limit;
    const subscription = (this.subscription = hub.subscribe(channel, options));
    subscription.on("state", ({ name, error }) => this.#change({ state: name, error, ...(name === "live" && { ready: true }) }));
    subscription.on("presence", (members) => this.#change({ members }));
    subscription.on("unread", (unread) => this.#change({ unread }));
    subscription.on("gap", (gap) => this.#change({ gap }));
    subscription.on("snapshot", (events) => {
      this.#latest.clear();
      this.#events = [];
      events.forEach((event) => this.#keep(event));
      this.#change({ gap: null }); // what was missed is in it
    });
    subscription.on("event", (event) => {
      this.#keep(event);
      this.#change({});
    });
  }

  /** @param {HubEvent} event */
  #keep(event) {
    this.#events.push(event);
    if (this.#events.length > 2 * this.#limit) this.#events = this.#events.slice(-this.#limit);
    if (event.key !== undefined) this.#latest.set(event.key, event);
  }

  /** @param {Partial<ChannelView>} changes */
  #change(changes) {
    Object.assign(this.#changes, changes);
    schedule(this);
  }

  /** Copied once a frame, not once an event. */
  show() {
    if (!this.users) return;
    this.view = { ...this.view, ...this.#changes, events: this.#events.slice(-this.#limit), byKey: new Map(this.#latest) };
    this.#changes = {};
    for (const listener of [...this.listeners]) listener();
  }
}

/** @type {WeakMap<Hub, Map<string, ChannelStore>>} */
const stores = new WeakMap();

/**
 * Which components share a subscription.
 * @param {string} channel
 * @param {ChannelOptions} options
 */
export const keyOf = (channel, { since, presence, maxRate, echo, limit, getToken }) =>
  JSON.stringify([channel, since, presence, maxRate, echo, limit, !!getToken]);

/**
 * The way to a channel's store, which lives as long as somebody is subscribed to it: nothing is begun by asking.
 * @param {Hub} hub
 * @param {string | null} channel None: nothing is subscribed.
 * @param {ChannelOptions} options
 * @returns {Access}
 */
export function access(hub, channel, options) {
  const key = channel === null ? "" : keyOf(channel, options);
  const find = () => stores.get(hub)?.get(key);
  const enter = () => {
    if (channel === null) return null;
    const all = stores.get(hub) ?? new Map();
    stores.set(hub, all);
    const store = all.get(key) ?? new ChannelStore(hub, channel, options);
    all.set(key, store);
    store.users++;
    return store;
  };
  /** A component that is mounted again in the same turn (StrictMode, a new parent) finds it as it was. @param {ChannelStore} store */
  const leave = (store) => {
    store.users--;
    setTimeout(() => {
      if (store.users || find() !== store) return;
      stores.get(hub)?.delete(key);
      store.subscription.unsubscribe();
    });
  };
  return {
    subscribe(listener) {
      const store = enter();
      if (!store) return () => {};
      const tell = () => listener();
      store.listeners.add(tell);
      return () => {
        store.listeners.delete(tell);
        leave(store);
      };
    },
    listen(listener) {
      const store = enter();
      if (!store) return () => {};
      const stop = store.subscription.on("event", listener);
      return () => {
        stop();
        leave(store);
      };
    },
    view: () => find()?.view ?? EMPTY,
    subscription: () => find()?.subscription,
  };
}
