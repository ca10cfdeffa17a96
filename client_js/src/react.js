"use client";
import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { Hub, HubError } from "./index.js";
import { EMPTY, access, keyOf } from "./store.js";

/** @typedef {import("./types.js").HubState} HubState */
/** @typedef {import("./store.js").ChannelOptions} ChannelOptions */

/** @type {HubState} */
const IDLE = { name: "idle" };
/** @type {import("react").Context<Hub | null>} */
const HubContext = createContext(/** @type {Hub | null} */ (null));

/**
 * Gives a hub to all below: one that the application made, or one of its own by `url`, which connects once it is shown
 * and leaves with it. On a server nothing is connected. Another `url` needs another `key`.
 * @param {import("../types/react.js").HubProviderProps} props
 */
export function HubProvider({ hub, url, options, children }) {
  const [own] = useState(() => (hub || url === undefined ? null : new Hub(url, { ...options, autoConnect: false })));
  useEffect(() => {
    if (!own) return;
    own.connect();
    return () => own.close();
  }, [own]);
  return createElement(HubContext.Provider, { value: /** @type {Hub | null} */ (hub ?? own) }, children);
}

/** @returns {Hub} */
export function useHub() {
  const hub = useContext(HubContext);
  if (!hub) throw new Error("no hub here: put a <HubProvider url=…> around it");
  return hub;
}

/** The connection's state, for a badge. */
export function useConnection() {
  const hub = useHub();
  const subscribe = useCallback((/** @type {() => void} */ changed) => hub.on("state", changed), [hub]);
  return useSyncExternalStore(subscribe, () => hub.state, () => IDLE);
}

/**
 * @param {string | null} channel
 * @param {ChannelOptions} options
 */
function useStore(channel, options) {
  const hub = useHub();
  const store = useMemo(() => access(hub, channel, options), [hub, channel === null ? null : keyOf(channel, options)]);
  const view = useSyncExternalStore(store.subscribe, store.view, () => EMPTY);
  return { store, view };
}

/**
 * A channel's events and all that is known of it, shown once a frame. Components that ask for the same share one
 * subscription. `onEvent` hears each event once, also those between two frames.
 * @param {string | null} channel
 * @param {ChannelOptions} [options]
 */
export function useChannel(channel, options = {}) {
  const { onEvent } = options;
  const { store, view } = useStore(channel, options);
  const latest = useRef(onEvent);
  useEffect(() => void (latest.current = onEvent));
  const hears = !!onEvent;
  useEffect(() => (hears ? store.listen((event) => latest.current?.(event)) : undefined), [store, hears]);
  return view;
}

/**
 * The latest event of each key; undefined until the hub has told it.
 * @param {string | null} channel
 * @param {ChannelOptions} [options]
 */
export function useSnapshot(channel, options = {}) {
  const { view } = useStore(channel, options);
  return view.ready ? view.byKey : undefined;
}

/**
 * Who is in a channel, this one included, and how to change one's own state.
 * @param {string | null} channel
 * @param {{as?: string}} [options]
 */
export function usePresence(channel, { as } = {}) {
  const { store, view } = useStore(channel, { presence: as === undefined ? true : { as } });
  const setState = useCallback(async (/** @type {unknown} */ state) => {
    const subscription = store.subscription();
    if (!subscription) throw new HubError("disconnected", "not subscribed");
    await subscription.setPresence(state);
  }, [store]);
  return { members: view.members, setState };
}

/** How much of an inbox is unread, and how to say that it was read. @param {string | null} channel */
export function useUnread(channel) {
  const { store, view } = useStore(channel, {});
  const ack = useCallback(async () => {
    const subscription = store.subscription();
    if (!subscription) throw new HubError("disconnected", "not subscribed");
    await subscription.ack();
  }, [store]);
  return { unread: view.unread, ack };
}

/** Publishes to one channel; the function stays the same from rendering to rendering. @param {string} channel */
export function usePublish(channel) {
  const hub = useHub();
  return useCallback(
    (/** @type {string} */ event, /** @type {unknown} */ payload, /** @type {import("./types.js").PublishOptions} */ options) =>
      hub.publish(channel, event, payload, options),
    [hub, channel],
  );
}
