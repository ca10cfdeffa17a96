/** @typedef {import("./client.js").Hub} Hub */
/** @typedef {import("./types.js").HubEvent} HubEvent */
/** @typedef {import("./types.js").Gap} Gap */
/** @typedef {import("./types.js").Member} Member */
/**
 * What a component sees of a channel.
 * @typedef {object} ChannelView
 * @property {import("./types.js").SubscriptionState["name"]} state
 * @property {HubEvent[]} events The newest ones, oldest first, `limit` at most.
 * @property {ReadonlyMap<string, HubEvent>} byKey The latest event of each key: the snapshot and what followed.
 * @property {Member[]} members
 * @property {number | undefined} unread
 * @property {Gap | null} gap The last one: what is shown has a hole, unless a snapshot followed.
 */

/** @type {ChannelView} */
const EMPTY = { state: "waiting", events: [], byKey: new Map(), members: [], unread: undefined, gap: null };

/**
 * A channel as state of a component, for any version of React that has hooks (16.8 and later), or whatever offers
 * the same two: they are handed in, so that this file depends on none.
 *
 * The subscription lives as long as the component shows this channel. Events that come in one turn are shown by one
 * rendering. `options` are those of `subscribe`, read when the channel changes; `limit` bounds `events` (100).
 * @param {{useState: any, useEffect: any}} React
 * @param {Hub} hub
 * @param {string} channel
 * @param {import("./types.js").SubscribeOptions & {limit?: number}} [options]
 * @returns {ChannelView}
 */
export function useChannel({ useState, useEffect }, hub, channel, options = {}) {
  const [view, setView] = useState(EMPTY);
  useEffect(() => {
    setView(EMPTY);
    return follow(hub, channel, options, setView);
  }, [hub, channel]);
  return view;
}

/**
 * Subscribes, and shows each turn's changes at once.
 * @param {Hub} hub
 * @param {string} channel
 * @param {import("./types.js").SubscribeOptions & {limit?: number}} options
 * @param {(view: ChannelView) => void} show
 * @returns {() => void} Ends it.
 */
export function follow(hub, channel, { limit = 100, ...options }, show) {
  /** @type {Map<string, HubEvent>} */
  const latest = new Map();
  let view = { ...EMPTY, events: /** @type {HubEvent[]} */ ([]) };
  let following = true;
  let scheduled = false;
  /** @param {Partial<ChannelView>} change */
  const change = (change) => {
    view = { ...view, ...change };
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(() => {
      scheduled = false;
      // copied once a rendering, not once an event
      if (!following) return;
      view = { ...view, byKey: new Map(latest), events: view.events.slice(-limit) };
      show({ ...view, events: [...view.events] });
    });
  };
  /** @param {HubEvent[]} events */
  const keep = (events) => {
    for (const event of events) if (event.key !== undefined) latest.set(event.key, event);
  };
  const subscription = hub.subscribe(channel, options);
  subscription.on("state", ({ name }) => change({ state: name }));
  subscription.on("presence", (members) => change({ members }));
  subscription.on("unread", (unread) => change({ unread }));
  subscription.on("gap", (gap) => change({ gap }));
  subscription.on("snapshot", (events) => {
    latest.clear();
    keep(events);
    change({ events: [...events], gap: null });
  });
  subscription.on("event", (event) => {
    keep([event]);
    view.events.push(event); // this turn's own array: the one that was shown is a copy
    change({});
  });
  return () => {
    following = false;
    subscription.unsubscribe();
  };
}
