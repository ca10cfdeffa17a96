export type Core = import("./leader.js").Core;
export type Message = import("./types.js").Message;
export type Position = import("./types.js").Position;
export type HubState = import("./types.js").HubState;
export type Listener = import("./seats.js").Listener;
export type Item = import("./leader.js").Item;
/**
 * One socket for all tabs. The tab that holds a Web Lock leads: it has the engine; every tab, the leader's own
 * included, asks it over a BroadcastChannel and keeps its positions itself. When the leader's tab goes, the browser
 * gives the lock to the next one, and all tabs attach there again from where they stand: a take-over is a resume.
 *
 * A tab that is put aside (back/forward cache, freeze) keeps its locks and answers nobody, so it leaves before, and
 * comes back when it is shown. One that can't (it shows a dialog) is noticed by its silence, and its lock is stolen.
 */
export declare class SharedEngine {
    #private;
    /**
     * @param {import("./types.js").Settings} settings
     * @param {import("./engine.js").Sink} sink
     * @param {boolean | string} shared
     * @param {Core} core
     */
    constructor(settings: import("./types.js").Settings, sink: import("./engine.js").Sink, shared: boolean | string, core: Core);
    get state(): import("./types.js").HubState;
    start(): void;
    /** @param {import("./types.js").Why} why */
    stop(why: import("./types.js").Why): void;
    /** @param {string} channel @param {Listener} listener */
    attach(channel: string, listener: Listener): void;
    /** @param {string} _channel @param {Listener} listener */
    detach(_channel: string, listener: Listener): void;
    /** @param {Message} command @param {number} [timeoutMs] */
    ask(command: Message, timeoutMs?: number): Promise<import("./types.js").Message>;
    /** @param {Message} command */
    tell(command: Message): boolean;
}
