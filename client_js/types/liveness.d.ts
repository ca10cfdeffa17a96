/**
 * Tells a dead link: after a silence it asks, and what is not answered by anything in time is dead. A browser
 * answers the hub's own pings by itself and shows them to nobody, so silence alone proves nothing.
 */
export declare class Liveness {
    #private;
    /**
     * @param {import("./types.js").Env} env
     * @param {number} pongMs
     * @param {() => void} ask
     * @param {() => void} dead
     */
    constructor(env: import("./types.js").Env, pongMs: number, ask: () => void, dead: () => void);
    /** @param {number} silenceMs */
    start(silenceMs: number): void;
    stop(): void;
    heard(): void;
    /** Asks now: something (a wake, a network that went) makes the link doubtful. */
    probe(): void;
}
