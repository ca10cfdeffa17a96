/** Lets everything that is ready run: microtasks, and what they start. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A clock that stands still until it is moved. `sleep` moves the wall clock only, as a suspended machine does. */
export class FakeClock {
  #time = 0;
  #skew = 1_700_000_000_000;
  #timers = [];
  #serial = 0;

  now() {
    return this.#time + this.#skew;
  }

  get time() {
    return this.#time;
  }

  setTimeout(run, ms) {
    const timer = { at: this.#time + Math.max(0, ms), serial: this.#serial++, run };
    // sorted by time, then by age
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#timers[middle].at <= timer.at) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
    return timer;
  }

  clearTimeout(timer) {
    const index = this.#timers.indexOf(timer);
    if (index >= 0) this.#timers.splice(index, 1);
  }

  /** How many timers are set. */
  get pending() {
    return this.#timers.length;
  }

  async advance(ms) {
    const end = this.#time + ms;
    await settle();
    while (this.#timers.length && this.#timers[0].at <= end) {
      const timer = this.#timers.shift();
      this.#time = timer.at;
      timer.run();
      await settle();
    }
    this.#time = end;
  }

  sleep(ms) {
    this.#skew += ms;
  }
}

/** Numbers that are random and the same every time. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
