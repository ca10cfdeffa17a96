/** One timer that can be set again: setting it forgets what it was set to. */
export declare class Timer {
    #private;
    /** @param {import("./types.js").Env} env */
    constructor(env: import("./types.js").Env);
    /**
     * @param {number} ms
     * @param {() => void} run
     */
    set(ms: number, run: () => void): void;
    clear(): void;
    get pending(): boolean;
}
