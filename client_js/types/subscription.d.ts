import { Emitter } from "./emitter.js";
export type HubEvent = import("./types.js").HubEvent;
export type Position = import("./types.js").Position;
export type Member = import("./types.js").Member;
/** @typedef {import("./types.js").HubEvent} HubEvent */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./types.js").Member} Member */
/**
 * One's interest in a channel: its events, and where one stands.
 * @extends {Emitter<{event: [HubEvent], snapshot: [HubEvent[], Position], gap: [import("./types.js").Gap],
 *   state: [import("./types.js").SubscriptionState],
 *   presence: [Member[], import("./types.js").PresenceChange], unread: [number]}>}
 */
export declare class Subscription extends Emitter<{
    event: [HubEvent];
    snapshot: [HubEvent[], Position];
    gap: [import("./types.js").Gap];
    state: [import("./types.js").SubscriptionState];
    presence: [Member[], import("./types.js").PresenceChange];
    unread: [number];
}> {
    #private;
    channel: string;
    options: import("./types.js").SubscribeOptions;
    /**
     * @param {string} channel
     * @param {import("./types.js").SubscribeOptions} options
     * @param {{ask(command: import("./types.js").Message): Promise<any>, leave(subscription: Subscription): void,
     *   thrown(error: unknown): void}} owner
     */
    constructor(channel: string, options: import("./types.js").SubscribeOptions, owner: {
        ask(command: import("./types.js").Message): Promise<any>;
        leave(subscription: Subscription): void;
        thrown(error: unknown): void;
    });
    /** Behind the last event, to be kept and given back as `since`; null before the first answer, and on ephemeral channels. */
    get position(): import("./types.js").Position | null;
    get state(): import("./types.js").SubscriptionState;
    /** Who is present, with `presence`. */
    get members(): import("./types.js").Member[];
    /** Events that the user has not acknowledged, in an inbox. */
    get unread(): number | undefined;
    /** Moves the user's read cursor, to the last event if no other is named. @param {Position | null} [position] */
    ack(position?: Position | null): Promise<any>;
    /** What the other members see of this one; kept over reconnects. @param {any} state Up to 4 KiB of JSON. */
    setPresence(state: any): Promise<any>;
    unsubscribe(): void;
    /**
     * For the topic only.
     * @param {string} kind
     * @param {any} data
     * @param {Position | null} position
     */
    apply(kind: string, data: any, position: Position | null): void;
    /** @protected @override @param {unknown} error */
    protected thrown(error: unknown): void;
}
