/**
 * Stands in for an engine whose code is still being loaded: what it is asked is asked again when it is there.
 * @returns {any}
 */
export function laterEngine() {
  /** @type {((engine: any) => void)[]} */
  const calls = [];
  /** @param {string} name */
  const later = (name) => (/** @type {any[]} */ ...args) =>
    new Promise((resolve) => calls.push((engine) => resolve(engine[name](...args))));
  return {
    state: { name: "idle" },
    start: later("start"),
    stop: later("stop"),
    attach: later("attach"),
    detach: later("detach"),
    ask: later("ask"),
    tell: () => false, // what needs no answer is not worth waiting for
    becomes(/** @type {any} */ engine) {
      for (const call of calls) call(engine);
      return engine;
    },
  };
}
