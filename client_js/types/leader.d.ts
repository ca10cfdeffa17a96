/** @typedef {import("./errors.js").HubError} HubError */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./seats.js").Listener} Listener */
/**
 * The classes of the core, handed in: this file is loaded later and on its own, and must not bring a second copy.
 * @typedef {{Engine: typeof import("./engine.js").Engine, Requests: typeof import("./requests.js").Requests,
 *   HubError: typeof import("./errors.js").HubError, absolute: typeof import("./address.js").absolute,
 *   encode: typeof import("./codec.js").encode}} Core
 */
/** @typedef {[kind: string, data: any, position: Position | null, to: string[] | string]} Item What happened, for the
 *   seats of tabs (`tab/n`), or for all of them in a channel of the token (its name). */
export type HubError = import("./errors.js").HubError;
export type Message = import("./types.js").Message;
export type Position = import("./types.js").Position;
export type Listener = import("./seats.js").Listener;
export type Core = {
    Engine: typeof import("./engine.js").Engine;
    Requests: typeof import("./requests.js").Requests;
    HubError: typeof import("./errors.js").HubError;
    absolute: typeof import("./address.js").absolute;
    encode: typeof import("./codec.js").encode;
};
export type Item = [kind: string, data: any, position: Position | null, to: string[] | string];
/** The tab that has the socket: it does for every tab what the tab asks. */
export declare class Leader {
    #private;
    /** Of this term: a tab may lead, lose the lock and lead again. */
    id: string;
    /**
     * @param {Core} core
     * @param {import("./types.js").Settings} settings
     * @param {import("./engine.js").Sink} sink
     * @param {Map<string, Position>} unasked
     * @param {string} name
     * @param {string} tab
     * @param {string} id
     * @param {(message: any) => void} post To every tab, this one too.
     */
    constructor(core: Core, settings: import("./types.js").Settings, sink: import("./engine.js").Sink, unasked: Map<string, Position>, name: string, tab: string, id: string, post: (message: any) => void);
    start(): void;
    /** @param {import("./types.js").Why} why */
    stop(why: import("./types.js").Why): void;
    /** @param {any} message Of a tab. */
    hear(message: any): void | Promise<void>;
}
