import { Timer } from "./timer.js";
import { Topic } from "./topic.js";
export type Message = import("./types.js").Message;
export type Position = import("./types.js").Position;
export type Listener = import("./seats.js").Listener;
export type Session = import("./session.js").Session;
export type Command = {
    session: Session;
    parts: [Topic, number][];
    timer: Timer;
};
export type Sink = {
    state: (state: import("./types.js").HubState) => void;
    error: (error: Error) => void;
    /**
     * From a channel
     * that the token brought and nobody here subscribed to.
     */
    unasked: (kind: string, data: any, channel: string, position: Position | null) => void;
};
/** Topics and requests over one connection. */
export declare class Engine {
    #private;
    /**
     * @param {import("./types.js").Settings} settings
     * @param {Sink} sink
     */
    constructor(settings: import("./types.js").Settings, sink: Sink);
    get state(): import("./types.js").HubState;
    start(): void;
    /** @param {import("./types.js").Why} why */
    stop(why: import("./types.js").Why): void;
    wake(): void;
    /**
     * @param {string} channel
     * @param {Listener} listener
     */
    attach(channel: string, listener: Listener): void;
    /**
     * @param {string} channel
     * @param {Listener} listener
     */
    detach(channel: string, listener: Listener): void;
    /** @param {string} channel @param {Position | null} position */
    resumeUnasked(channel: string, position: Position | null): void;
    /**
     * @param {Message} command
     * @param {number} [timeoutMs]
     * @returns {Promise<Message>}
     */
    ask(command: Message, timeoutMs?: number): Promise<Message>;
    /** Without an answer, and only now. @param {Message} command @returns {boolean} Whether it was sent. */
    tell(command: Message): boolean;
}
