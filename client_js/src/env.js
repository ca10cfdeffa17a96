/** @typedef {import("./types.js").Env} Env */

/** @type {any} */
const world = globalThis;

/** The page and the network come back, or the network goes. @type {Env["watch"]} */
function watch(wake, offline) {
  const page = world.document;
  const visible = () => page.visibilityState === "visible" && wake();
  const heard = /** @type {[any, string, () => void][]} */ ([
    [world, "online", wake],
    [world, "pageshow", wake],
    [world, "offline", offline],
    [page, "visibilitychange", visible],
    [page, "resume", wake],
  ]).filter(([target]) => target?.addEventListener);
  for (const [target, name, run] of heard) target.addEventListener(name, run);
  return () => {
    for (const [target, name, run] of heard) target.removeEventListener(name, run);
  };
}

/** @type {Env} */
const REAL = {
  now: () => Date.now(),
  setTimeout: (run, ms) => world.setTimeout(run, ms),
  clearTimeout: (timer) => world.clearTimeout(timer),
  random: () => Math.random(),
  WebSocket: world.WebSocket,
  // a world without the question (Node.js) is online
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
  if (!env.WebSocket) throw new TypeError("there is no WebSocket here: hand one in, { WebSocket }");
  return env;
}
