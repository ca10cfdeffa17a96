export type Message = import("./types.js").Message;
export type Position = import("./types.js").Position;
export type HubError = import("./errors.js").HubError;
export type Session = import("./session.js").Session;
export type Listener = import("./seats.js").Listener;
export type Seat = import("./seats.js").Seat;
export type TopicState = "waiting" | "subscribing" | "live" | "ended";
/**
 * One channel on the wire. The hub keeps one subscription of it for a connection; here any number of listeners share
 * it, each with its own position. What one of them lacks is asked for by a new command, which replaces the wire's
 * stream by one that starts earlier; the others drop by position what they know.
 *
 * During a hand-over the old session (`link`) delivers until the new one has answered: exactly one stream counts.
 */
export declare class Topic {
    #private;
    channel: string;
    timeoutMs: number;
    /** Counts the commands: an answer to an older one is dropped. */
    generation: number;
    /**
     * @param {string} channel
     * @param {import("./types.js").Settings} settings
     * @param {(topic: Topic) => void} wants A command should be sent soon.
     */
    constructor(channel: string, settings: import("./types.js").Settings, wants: (topic: Topic) => void);
    get state(): TopicState;
    get size(): number;
    /** Whether a command may and has to be sent. */
    get ready(): boolean;
    /** @param {Listener} listener */
    attach(listener: Listener): void;
    /** @param {Listener} listener */
    detach(listener: Listener): void;
    /**
     * The entry of a `subscribe` for whoever is not served; for all, where a new session takes over.
     * @param {Session} session
     */
    command(session: Session): {
        presence: boolean | {
            as: string;
        } | undefined;
        max_rate: number | undefined;
        echo: boolean | undefined;
        channel: string;
        since: import("./types.js").Position | undefined;
    };
    /** A new session stands: everything goes to it, while an older one may still deliver. */
    restart(): void;
    /** @param {Session} session */
    lost(session: Session): void;
    /**
     * @param {number} generation
     * @param {HubError} error
     */
    refused(generation: number, error: HubError): void;
    /** A right ended. @param {HubError} error */
    revoked(error: HubError): void;
    /**
     * @param {Session} session
     * @param {number} generation
     * @param {Message} reply `hub.subscribed`, or an entry of its `results`.
     */
    subscribed(session: Session, generation: number, reply: Message): void;
    /**
     * Whatever the hub says about this channel on its own.
     * @param {Session} session
     * @param {Message} message
     */
    take(session: Session, message: Message): void;
    /** @param {Session} session @param {any} event */
    event(session: Session, event: any): void;
    /** What the hub says of the inbox. @param {Message} message `hub.acked`, or an answer. @param {number} [top] An offset it had reached. */
    unread({ unread, offset, epoch }: Message, top?: number): void;
}
