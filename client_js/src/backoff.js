/** @typedef {{min_ms: number, max_ms: number}} Window */

/**
 * A point of the server's window.
 * @param {Window} window
 * @param {() => number} random
 */
export const inWindow = ({ min_ms, max_ms }, random) => min_ms + random() * Math.max(0, max_ms - min_ms);

/**
 * Waiting times between attempts: full jitter. Attempt n, from 0, waits a random time up to the smaller of `maxMs` and
 * `minMs` times 2 to the n, so that clients that fell together do not come back together.
 */
export class Backoff {
  #failures = 0;

  /**
   * @param {number} minMs
   * @param {number} maxMs
   * @param {() => number} random
   */
  constructor(minMs, maxMs, random) {
    this.minMs = minMs;
    this.maxMs = maxMs;
    this.random = random;
  }

  /** ms to wait before the next attempt. */
  next() {
    return this.random() * Math.min(this.maxMs, this.minMs * 2 ** this.#failures++);
  }

  /** What `hub.welcome` asks for. @param {Window | undefined} window */
  limits(window) {
    if (!window) return;
    this.minMs = window.min_ms;
    this.maxMs = window.max_ms;
  }

  reset() {
    this.#failures = 0;
  }
}
