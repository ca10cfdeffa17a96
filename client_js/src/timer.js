/** One timer that can be set again: setting it forgets what it was set to. */
export class Timer {
  /** @type {any} */
  #handle = null;
  #env;

  /** @param {import("./types.js").Env} env */
  constructor(env) {
    this.#env = env;
  }

  /**
   * @param {number} ms
   * @param {() => void} run
   */
  set(ms, run) {
    this.clear();
    this.#handle = this.#env.setTimeout(() => {
      this.#handle = null;
      run();
    }, ms);
  }

  clear() {
    if (this.#handle !== null) this.#env.clearTimeout(this.#handle);
    this.#handle = null;
  }

  get pending() {
    return this.#handle !== null;
  }
}
