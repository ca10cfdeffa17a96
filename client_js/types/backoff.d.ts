/** @typedef {{min_ms: number, max_ms: number}} Window */
export type Window = {
    min_ms: number;
    max_ms: number;
};
/**
 * A point of the server's window.
 * @param {Window} window
 * @param {() => number} random
 */
export declare const inWindow: ({ min_ms, max_ms }: Window, random: () => number) => number;
/**
 * Waiting times between attempts: full jitter. Attempt n, from 0, waits a random time up to the smaller of `maxMs` and
 * `minMs` times 2 to the n, so that clients that fell together do not come back together.
 */
export declare class Backoff {
    #private;
    minMs: number;
    maxMs: number;
    random: () => number;
    /**
     * @param {number} minMs
     * @param {number} maxMs
     * @param {() => number} random
     */
    constructor(minMs: number, maxMs: number, random: () => number);
    /** ms to wait before the next attempt. */
    next(): number;
    /** What `hub.welcome` asks for. @param {Window | undefined} window */
    limits(window: Window | undefined): void;
    reset(): void;
}
