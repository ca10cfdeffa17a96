/** @typedef {import("./types.js").Env} Env */

/** @type {any} */
const world = globalThis;

/**
 * The page and the network come back, the network goes, or the page is put aside (the back/forward cache, a freeze).
 * A world without them (Node.js) tells nothing.
 * @type {Env["watch"]}
 */
function watch(wake, offline, aside = () => {}) {
  const page = world.document;
  const end = new AbortController();
  const on = (/** @type {any} */ target, /** @type {string} */ name, /** @type {() => void} */ run) =>
    target?.addEventListener?.(name, run, { signal: end.signal });
  on(world, "online", wake);
  on(world, "offline", offline);
  on(world, "pageshow", wake);
  on(world, "pagehide", aside);
  on(page, "resume", wake);
  on(page, "freeze", aside);
  on(page, "visibilitychange", () => page.hidden || wake());
  return () => end.abort();
}

/** @type {Env} */
const REAL = {
  now: () => Date.now(),
  setTimeout: (run, ms) => world.setTimeout(run, ms),
  clearTimeout: (timer) => world.clearTimeout(timer),
  random: Math.random,
  WebSocket: world.WebSocket,
  online: () => world.navigator?.onLine !== false,
  watch,
  locks: world.navigator?.locks,
  BroadcastChannel: world.BroadcastChannel,
};

/**
 * The real world, and what replaces parts of it. Made where there is none of it too: a page that is rendered on a
 * server has a hub that never connects.
 * @param {Partial<Env>} given
 * @returns {Env}
 */
export const environment = (given) => ({ ...REAL, ...given });
