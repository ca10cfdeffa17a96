/** @typedef {{min_ms: number, max_ms: number}} Window */

/**
 * A point of the server's window.
 * @param {Window} window
 * @param {() => number} random
 */
export const inWindow = ({ min_ms, max_ms }, random) => min_ms + random() * Math.max(0, max_ms - min_ms);

/**
 * Waiting times between attempts: full jitter (uniform over the whole range, so that clients that fell together
 * do not come back together) between the floor and a ceiling that doubles up to the cap. The first ceiling is four
 * times the floor: a crash of a node must not bring everybody back within one floor.
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
    const max_ms = Math.min(this.maxMs, this.minMs * 2 ** (2 + Math.min(this.#failures++, 20)));
    return inWindow({ min_ms: this.minMs, max_ms }, this.random);
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
