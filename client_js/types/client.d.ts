import { Emitter } from "./emitter.js";
import { Engine } from "./engine.js";
import { Subscription } from "./subscription.js";
export type HubState = import("./types.js").HubState;
export type HubEvent = import("./types.js").HubEvent;
export type HubOptions = import("./types.js").HubOptions;
export type Position = import("./types.js").Position;
export type AnyEngine = Engine | import("./shared.js").SharedEngine;
/**
 * A connection to the hub that comes back, and what it carries.
 *
 * Events: `state` (HubState), `error` (what nobody else can be told: a throwing callback, a failed renewal, a
 * malformed frame); of channels that the token brought and nobody subscribed to here `channel` (whether the hub serves
 * it: one that it could not subscribe at first comes later), `event` and `gap`.
 * @extends {Emitter<{state: [HubState], error: [Error], event: [HubEvent, Position | null],
 *   gap: [import("./types.js").Gap, string, Position | null],
 *   channel: [string, import("./types.js").SubscriptionState, Position | null]}>}
 */
export declare class Hub extends Emitter<{
    state: [HubState];
    error: [Error];
    event: [HubEvent, Position | null];
    gap: [import("./types.js").Gap, string, Position | null];
    channel: [string, import("./types.js").SubscriptionState, Position | null];
}> {
    #private;
    /**
     * @param {string} url `wss://…/ws`
     * @param {HubOptions} [options]
     */
    constructor(url: string, options?: HubOptions);
    /** @returns {HubState} */
    get state(): HubState;
    /** Connects, or connects again after `closed`. */
    connect(): void;
    /** Leaves for good; requests that wait are rejected. Subscriptions stay, and resume after `connect()`. */
    close(): void;
    /**
     * @param {string} channel
     * @param {import("./types.js").SubscribeOptions} [options]
     */
    subscribe(channel: string, options?: import("./types.js").SubscribeOptions): Subscription;
    /**
     * @param {string} channel
     * @param {string} event The application's type.
     * @param {any} payload Values of JSON.
     * @param {import("./types.js").PublishOptions} [options]
     * @returns {Promise<import("./types.js").Published>} Rejects with a `HubError`: `unknown_outcome` where it may
     *   have been stored.
     */
    publish(channel: string, event: string, payload: any, { key, final, version, eventId, ack, timeoutMs }?: import("./types.js").PublishOptions): Promise<import("./types.js").Published>;
    /**
     * Stored events after `since`, or the newest; oldest first.
     * @param {string} channel
     * @param {{since?: Position, limit?: number}} [options]
     * @returns {Promise<import("./types.js").History>}
     */
    history(channel: string, { since, limit }?: {
        since?: Position;
        limit?: number;
    }): Promise<import("./types.js").History>;
    /**
     * Who is in a channel, without subscribing to it.
     * @param {string} channel
     * @param {{group?: "user"}} [options] `user`: one entry a user.
     * @returns {Promise<import("./types.js").Member[]>}
     */
    presence(channel: string, { group }?: {
        group?: "user";
    }): Promise<import("./types.js").Member[]>;
    /** The hub's time, ms. @returns {Promise<number>} */
    ping(): Promise<number>;
    /** @protected @override @param {unknown} cause @param {string} [name] */
    protected thrown(cause: unknown, name?: string): void;
}
