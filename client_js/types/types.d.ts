export type Position = {
    readonly epoch: string;
    readonly offset: number;
};
export type HubEvent = {
    /**
     * The application's own name of it, never beginning with `hub.`.
     */
    type: string;
    channel: string;
    payload: any;
    /**
     * Missing on ephemeral channels.
     */
    offset?: number;
    id: string;
    /**
     * ms since the Unix epoch, the hub's clock.
     */
    time: number;
    /**
     * What the event is about within its channel.
     */
    key?: string;
    /**
     * The last event of its key.
     */
    final?: boolean;
    version?: number | [number, number];
    /**
     * The publishing user, if no service published it.
     */
    from?: string;
    /**
     * How many offsets before this one were merged away or left out.
     */
    conflated?: number;
};
export type Gap = {
    /**
     * First lost offset.
     */
    from?: number;
    /**
     * Last lost offset; `from - 1` where the range is empty.
     */
    to?: number;
    /**
     * `trimmed`, `too_far`, `epoch`, `backplane`.
     */
    cause: string;
};
export type Member = {
    user: string;
    /**
     * The name the client gave this member, else it is its connection's.
     */
    as?: string;
    connection?: string;
    /**
     * From the token.
     */
    info?: any;
    /**
     * The member's own (`setPresence`).
     */
    state?: any;
};
export type PresenceChange = {
    type: "join" | "leave" | "update" | "list";
    members: Member[];
};
export type Why = {
    /**
     * Close code.
     */
    code?: number;
    /**
     * Plain words, never a token.
     */
    reason: string;
    error?: Error;
};
export type HubState = {
    name: "idle";
} | {
    name: "connecting";
} | {
    name: "connected";
    connection: string;
    user: string;
} | {
    name: "reconnecting";
    inMs: number;
    why: Why;
} | {
    name: "offline";
} | {
    name: "closed";
    why: Why;
};
export type SubscriptionState = {
    name: "waiting" | "live" | "ended";
    /**
     * Why it ended, if not by `unsubscribe()`.
     */
    error?: import("./errors.js").HubError;
};
export type SubscribeOptions = {
    /**
     * Resume after this position instead of starting live.
     */
    since?: Position | null;
    /**
     * Ask for the members and their changes; `as` names this one.
     */
    presence?: boolean | {
        as: string;
    };
    /**
     * Flushes a second; each has the newest event of every changed key.
     */
    maxRate?: number;
    /**
     * `false` leaves one's own events out.
     */
    echo?: boolean;
    onEvent?: (event: HubEvent) => void;
    /**
     * The latest event of every key.
     */
    onSnapshot?: (events: HubEvent[], position: Position) => void;
    onGap?: (gap: Gap) => void;
    onState?: (state: SubscriptionState) => void;
    onPresence?: (members: Member[], change: PresenceChange) => void;
    onUnread?: (unread: number) => void;
};
export type PublishOptions = {
    key?: string;
    final?: boolean;
    version?: number | [number, number];
    /**
     * Made if missing; the same id is stored once.
     */
    eventId?: string;
    /**
     * `false`: no answer, not queued, dropped while disconnected (cursors).
     */
    ack?: boolean;
    /**
     * Gives up a publication that could not be sent by then.
     */
    timeoutMs?: number;
};
export type Published = {
    channel: string;
    /**
     * Missing on ephemeral channels.
     */
    epoch?: string;
    offset?: number;
    event_id?: string;
    /**
     * A newer version stands already; the position is that one's.
     */
    stale?: boolean;
};
export type History = {
    events: HubEvent[];
    epoch: string;
    offset: number;
    more: boolean;
};
export type TokenReason = "connect" | "refused" | "expiring";
export type Codec = {
    /**
     * The WebSocket subprotocol.
     */
    protocol: string;
    encode: (message: object) => string | Uint8Array<ArrayBuffer>;
    /**
     * Throws on anything malformed.
     */
    decode: (data: string | ArrayBuffer) => unknown;
};
export type Env = {
    /**
     * Wall clock, ms: it jumps when the machine slept, which is how that is noticed.
     */
    now: () => number;
    setTimeout: (run: () => void, ms: number) => any;
    clearTimeout: (timer: any) => void;
    /**
     * In [0, 1).
     */
    random: () => number;
    /**
     * The global one, when it is needed.
     */
    WebSocket?: WebSocketConstructor;
    /**
     * A hint, which may be wrong both ways.
     */
    online: () => boolean;
    /**
     * Calls `wake` when the
     * network or the page comes back, `offline` when the network goes, `aside` when the page goes to the back/forward
     * cache or is frozen; answers how to stop that.
     */
    watch: (wake: () => void, offline: () => void, aside?: () => void) => () => void;
    /**
     * Web Locks, and
     */
    locks?: any;
    /**
     * for `shared`.
     */
    BroadcastChannel?: any;
};
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;
export type WebSocketLike = {
    binaryType: string;
    bufferedAmount: number;
    readyState: number;
    onopen: ((event: any) => void) | null;
    onmessage: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
    send: (data: any) => void;
    close: (code?: number, reason?: string) => void;
};
export type HubOptions = {
    /**
     * Called at every
     * connect and before a token expires. An error with `retry === false` stops the hub.
     */
    getToken?: (request: {
        reason: TokenReason;
    }) => string | null | Promise<string | null>;
    /**
     * How the token travels; `subprotocol` in browsers,
     * `message` elsewhere (there a refusal before the upgrade could not be read).
     */
    auth?: "subprotocol" | "message" | "query";
    /**
     * JSON if missing; `msgpack` of the second entry point.
     */
    codec?: Codec;
    /**
     * `true`.
     */
    autoConnect?: boolean;
    /**
     * One socket for all tabs of this origin; a string separates users.
     */
    shared?: boolean | string;
    /**
     * What `publish` does then; `queue`.
     */
    whileDisconnected?: "queue" | "refuse";
    /**
     * Unanswered and queued requests at once: 1000.
     */
    maxPending?: number;
    /**
     * Of a request: 10,000.
     */
    timeoutMs?: number;
    /**
     * Of the token, and again of the socket up to `hub.welcome`: 10,000.
     */
    connectTimeoutMs?: number;
    /**
     * Silence after which the link is tested; the hub's heartbeat if missing.
     */
    pingAfterMs?: number;
    /**
     * 8,000.
     */
    pongTimeoutMs?: number;
    /**
     * How long a connection must stand before the backoff starts anew: 10,000.
     */
    stableMs?: number;
    /**
     * 500 until the hub says otherwise.
     */
    minBackoffMs?: number;
    /**
     * 20,000 until the hub says otherwise.
     */
    maxBackoffMs?: number;
    /**
     * Needed in Node.js before 22: the `ws` package has one.
     */
    WebSocket?: WebSocketConstructor;
    env?: Partial<Env>;
};
export type Settings = Required<Omit<HubOptions, "env" | "WebSocket" | "shared" | "auth">> & {
    env: Env;
    url: string;
    auth?: HubOptions["auth"];
};
export type Message = {
    type: string;
    id?: number | string;
    channel?: string;
    [field: string]: any;
};
/**
 * The shapes that travel through the client's public interface. Times are ms, offsets count from 1.
 *
 * @typedef {{readonly epoch: string, readonly offset: number}} Position Where a subscriber stands in a channel.
 *
 * @typedef {object} HubEvent An item of application data (section 4 of the contract).
 * @property {string} type The application's own name of it, never beginning with `hub.`.
 * @property {string} channel
 * @property {any} payload
 * @property {number} [offset] Missing on ephemeral channels.
 * @property {string} id
 * @property {number} time ms since the Unix epoch, the hub's clock.
 * @property {string} [key] What the event is about within its channel.
 * @property {boolean} [final] The last event of its key.
 * @property {number | [number, number]} [version]
 * @property {string} [from] The publishing user, if no service published it.
 * @property {number} [conflated] How many offsets before this one were merged away or left out.
 *
 * @typedef {object} Gap Events that this subscriber did not get, and never will from the stream.
 * @property {number} [from] First lost offset.
 * @property {number} [to] Last lost offset; `from - 1` where the range is empty.
 * @property {string} cause `trimmed`, `too_far`, `epoch`, `backplane`.
 *
 * @typedef {object} Member Someone present in a channel.
 * @property {string} user
 * @property {string} [as] The name the client gave this member, else it is its connection's.
 * @property {string} [connection]
 * @property {any} [info] From the token.
 * @property {any} [state] The member's own (`setPresence`).
 *
 * @typedef {{type: "join" | "leave" | "update" | "list", members: Member[]}} PresenceChange What just happened;
 *   `list` replaced them all.
 *
 * @typedef {object} Why Why a connection ended or an attempt failed.
 * @property {number} [code] Close code.
 * @property {string} reason Plain words, never a token.
 * @property {Error} [error]
 *
 * @typedef {{name: "idle"}
 *   | {name: "connecting"}
 *   | {name: "connected", connection: string, user: string}
 *   | {name: "reconnecting", inMs: number, why: Why}
 *   | {name: "offline"}
 *   | {name: "closed", why: Why}} HubState
 *
 * @typedef {object} SubscriptionState
 * @property {"waiting" | "live" | "ended"} name
 * @property {import("./errors.js").HubError} [error] Why it ended, if not by `unsubscribe()`.
 *
 * @typedef {object} SubscribeOptions
 * @property {Position | null} [since] Resume after this position instead of starting live.
 * @property {boolean | {as: string}} [presence] Ask for the members and their changes; `as` names this one.
 * @property {number} [maxRate] Flushes a second; each has the newest event of every changed key.
 * @property {boolean} [echo] `false` leaves one's own events out.
 * @property {(event: HubEvent) => void} [onEvent]
 * @property {(events: HubEvent[], position: Position) => void} [onSnapshot] The latest event of every key.
 * @property {(gap: Gap) => void} [onGap]
 * @property {(state: SubscriptionState) => void} [onState]
 * @property {(members: Member[], change: PresenceChange) => void} [onPresence]
 * @property {(unread: number) => void} [onUnread]
 *
 * @typedef {object} PublishOptions
 * @property {string} [key]
 * @property {boolean} [final]
 * @property {number | [number, number]} [version]
 * @property {string} [eventId] Made if missing; the same id is stored once.
 * @property {boolean} [ack] `false`: no answer, not queued, dropped while disconnected (cursors).
 * @property {number} [timeoutMs] Gives up a publication that could not be sent by then.
 *
 * @typedef {object} Published
 * @property {string} channel
 * @property {string} [epoch] Missing on ephemeral channels.
 * @property {number} [offset]
 * @property {string} [event_id]
 * @property {boolean} [stale] A newer version stands already; the position is that one's.
 *
 * @typedef {{events: HubEvent[], epoch: string, offset: number, more: boolean}} History
 *
 * @typedef {"connect" | "refused" | "expiring"} TokenReason `refused`: a cached token is worth nothing.
 *
 * @typedef {object} Codec
 * @property {string} protocol The WebSocket subprotocol.
 * @property {(message: object) => string | Uint8Array<ArrayBuffer>} encode
 * @property {(data: string | ArrayBuffer) => unknown} decode Throws on anything malformed.
 *
 * @typedef {object} Env The outside world, handed in so that tests need no sleep.
 * @property {() => number} now Wall clock, ms: it jumps when the machine slept, which is how that is noticed.
 * @property {(run: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} random In [0, 1).
 * @property {WebSocketConstructor} [WebSocket] The global one, when it is needed.
 * @property {() => boolean} online A hint, which may be wrong both ways.
 * @property {(wake: () => void, offline: () => void, aside?: () => void) => () => void} watch Calls `wake` when the
 *   network or the page comes back, `offline` when the network goes, `aside` when the page goes to the back/forward
 *   cache or is frozen; answers how to stop that.
 * @property {any} [locks] Web Locks, and
 * @property {any} [BroadcastChannel] for `shared`.
 *
 * @typedef {new (url: string, protocols: string[]) => WebSocketLike} WebSocketConstructor
 *
 * @typedef {object} WebSocketLike
 * @property {string} binaryType
 * @property {number} bufferedAmount
 * @property {number} readyState
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 * @property {(data: any) => void} send
 * @property {(code?: number, reason?: string) => void} close
 *
 * @typedef {object} HubOptions
 * @property {(request: {reason: TokenReason}) => string | null | Promise<string | null>} [getToken] Called at every
 *   connect and before a token expires. An error with `retry === false` stops the hub.
 * @property {"subprotocol" | "message" | "query"} [auth] How the token travels; `subprotocol` in browsers,
 *   `message` elsewhere (there a refusal before the upgrade could not be read).
 * @property {Codec} [codec] JSON if missing; `msgpack` of the second entry point.
 * @property {boolean} [autoConnect] `true`.
 * @property {boolean | string} [shared] One socket for all tabs of this origin; a string separates users.
 * @property {"queue" | "refuse"} [whileDisconnected] What `publish` does then; `queue`.
 * @property {number} [maxPending] Unanswered and queued requests at once: 1000.
 * @property {number} [timeoutMs] Of a request: 10,000.
 * @property {number} [connectTimeoutMs] Of the token, and again of the socket up to `hub.welcome`: 10,000.
 * @property {number} [pingAfterMs] Silence after which the link is tested; the hub's heartbeat if missing.
 * @property {number} [pongTimeoutMs] 8,000.
 * @property {number} [stableMs] How long a connection must stand before the backoff starts anew: 10,000.
 * @property {number} [minBackoffMs] 500 until the hub says otherwise.
 * @property {number} [maxBackoffMs] 20,000 until the hub says otherwise.
 * @property {WebSocketConstructor} [WebSocket] Needed in Node.js before 22: the `ws` package has one.
 * @property {Partial<Env>} [env]
 *
 * @typedef {Required<Omit<HubOptions, "env" | "WebSocket" | "shared" | "auth">> & {env: Env, url: string,
 *   auth?: HubOptions["auth"]}} Settings
 *
 * @typedef {{type: string, id?: number | string, channel?: string, [field: string]: any}} Message
 */
export {};
