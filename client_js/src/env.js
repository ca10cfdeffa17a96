/** @typedef {import("./types.js").Env} Env */

/** @type {any} */
const world = globalThis;

/**
 * The page and the network come back, or the network goes. A world without them (Node.js) tells nothing.
 * @type {Env["watch"]}
 */
function watch(wake, offline) {
  const page = world.document;
  const end = new AbortController();
  const { signal } = end;
  world.addEventListener?.("online", wake, { signal });
  world.addEventListener?.("offline", offline, { signal });
  page?.addEventListener("visibilitychange", () => page.hidden || wake(), { signal });
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
 * The real world, and what replaces parts of it.
 * @param {Partial<Env>} [given]
 * @returns {Env}
 */
export function environment(given) {
  const env = { ...REAL, ...given };
  if (!env.WebSocket) throw new TypeError("no WebSocket here: hand one in");
  return env;
}
