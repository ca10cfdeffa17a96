/**
 * The client's public interface. Times are ms, offsets count from 1. The sources are checked against this file.
 */

// --- what travels -------------------------------------------------------------------------------------------

/** Where a subscriber stands in a channel: everything up to `offset` was seen. Plain JSON, to be kept and given back. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** A version of a key: `n`, or `[attempt, n]`. */
export type Version = number | [attempt: number, number: number];

/** An item of application data (section 4 of the protocol). */
export interface HubEvent<Payload = any, Type extends string = string> {
  /** The publisher's name of it; never begins with `hub.`. */
  type: Type;
  channel: string;
  payload: Payload;
  /** Missing on ephemeral channels. */
  offset?: number;
  id: string;
  /** ms since 1970, the hub's clock. */
  time: number;
  /** What the event is about within its channel. */
  key?: string;
  /** The last event of its key. */
  final?: boolean;
  version?: Version;
  /** The publishing user, if no service published it. */
  from?: string;
  /** How many offsets before this one were merged away or left out. */
  conflated?: number;
  /** What travels beside the payload: `traceparent`, say. */
  meta?: Record<string, string>;
}

/** Events that this subscriber did not get, and never will from the stream. */
export interface Gap {
  /** First lost offset. */
  from?: number;
  /** Last lost offset; `from - 1` where the range is empty. */
  to?: number;
  cause: "trimmed" | "too_far" | "epoch" | "deleted" | "backplane" | (string & {});
}

/** Someone present in a channel. */
export interface Member<Info = any, State = any> {
  user: string;
  /** The name that the client gave this member, else it is its connection's. */
  as?: string;
  connection?: string;
  /** From the token. */
  info?: Info;
  /** The member's own (`setPresence`). */
  state?: State;
}

/** What just happened to a member list; `list` replaced them all. */
export interface PresenceChange {
  type: "join" | "leave" | "update" | "list";
  members: Member[];
}

/** The answer to a publication. */
export interface Published {
  channel: string;
  /** Missing on ephemeral channels. */
  epoch?: string;
  offset?: number;
  eventId?: string;
  /** A newer version stands already; the position is that one's. */
  stale?: boolean;
  /** It was stored before: the position is the first one's. */
  duplicate?: boolean;
  /** What the hub did not understand of it, and ignored. */
  warnings?: string[];
}

/** Stored events, oldest first. */
export interface History<Event extends HubEvent = HubEvent> {
  events: Event[];
  /** The numbering, and the channel's top. */
  epoch: string;
  offset: number;
  /** There are more after the last one here. */
  more: boolean;
  /** Where `since` was no longer good: what lies between. */
  gap?: Gap;
}

/** What became of a request that was answered with an error. */
export type Outcome = "not_done" | "unknown";

/**
 * The one error of this client: what the hub refused (its codes), and what never reached it: `timeout`,
 * `unknown_outcome`, `disconnected`, `closed`, `queue_full`, `unsubscribed`, `token`, `address`, `malformed`, `callback`.
 */
export class HubError extends Error {
  constructor(
    code: string,
    reason: string,
    more?: { channel?: string; retry?: boolean; retry_after_ms?: number; outcome?: Outcome; cause?: unknown },
  );
  name: string;
  code: string;
  channel?: string;
  /** Whether the same request may succeed later, unchanged. */
  retry: boolean;
  /** Not sooner than this. */
  retryAfterMs?: number;
  /** Whether it may have been done all the same. */
  outcome: Outcome;
}

// --- states -------------------------------------------------------------------------------------------------

/** Why a connection ended or an attempt failed. */
export interface Why {
  /** Close code. */
  code?: number;
  /** Plain words, never a token. */
  reason: string;
  error?: Error;
}

export type HubState =
  | { name: "idle" }
  | { name: "connecting" }
  | { name: "connected"; connection: string; user: string }
  | { name: "reconnecting"; inMs: number; why: Why }
  | { name: "offline" }
  | { name: "closed"; why: Why };

export interface SubscriptionState {
  name: "waiting" | "live" | "ended";
  /** Why it ended, if not by `unsubscribe()`. */
  error?: HubError;
}

/** Why a token is asked for. `refused`: a cached one is worth nothing. */
export type TokenReason = "connect" | "refused" | "expiring";

// --- options ------------------------------------------------------------------------------------------------

export interface HubOptions {
  /**
   * Called at every connect and before a token expires; null: without a token. One that throws is asked again with
   * backoff; an error with `retry === false` stops the hub.
   */
  getToken?: (request: { reason: TokenReason }) => string | null | Promise<string | null>;
  /** How the token travels; `subprotocol` in browsers, `message` elsewhere. */
  auth?: "subprotocol" | "message" | "query";
  /** JSON if missing; `msgpack` of the second entry point. */
  codec?: Codec;
  /** `true`: connects in the next microtask. `false` touches nothing until `connect()`. */
  autoConnect?: boolean;
  /** One socket for all tabs of this origin; a string separates users. */
  shared?: boolean | string;
  /** An HTTP stream after two attempts without a welcome, and WebSockets again as soon as they can be had: `true`. */
  fallback?: boolean;
  /** What `publish` does then; `queue`. */
  whileDisconnected?: "queue" | "refuse";
  /** Unanswered and queued requests at once: 1000. */
  maxPending?: number;
  /** Of a request: 10,000. */
  timeoutMs?: number;
  /** Of the token, and again of the socket up to the welcome: 10,000. */
  connectTimeoutMs?: number;
  /** Silence after which the link is tested; the hub's heartbeat if missing. */
  pingAfterMs?: number;
  /** 8,000. */
  pongTimeoutMs?: number;
  /** How long a connection must stand before the backoff starts anew: 10,000. */
  stableMs?: number;
  /** 500 until the hub says otherwise. */
  minBackoffMs?: number;
  /** 20,000 until the hub says otherwise. */
  maxBackoffMs?: number;
  /** Needed in Node.js before 22: the `ws` package has one. Looked for when it connects. */
  WebSocket?: WebSocketConstructor;
  /** The outside world, for tests. */
  env?: Partial<Env>;
}

export interface SubscribeOptions<Event extends HubEvent = HubEvent> {
  /** Resume after this position instead of starting live. */
  since?: Position | null;
  /** Ask for the members and their changes; `as` names this one. */
  presence?: boolean | { as: string };
  /** Flushes a second; each has the newest event of every changed key. */
  maxRate?: number;
  /** `false` leaves one's own events out. */
  echo?: boolean;
  /**
   * A token of this channel, where the connection's gives no right to it: called before the first subscribe, when the
   * hub refuses the one at hand, and before it ends. One that throws is asked again with backoff; an error with
   * `retry === false` ends the subscription (`token`).
   */
  getToken?: (request: { channel: string; reason: TokenReason }) => string | null | Promise<string | null>;
  onEvent?: (event: Event) => void;
  /** The latest event of every key: a key that is not in it is gone. */
  onSnapshot?: (events: Event[], position: Position) => void;
  onGap?: (gap: Gap) => void;
  onState?: (state: SubscriptionState) => void;
  onPresence?: (members: Member[], change: PresenceChange) => void;
  onUnread?: (unread: number) => void;
}

export interface PublishOptions {
  key?: string;
  final?: boolean;
  version?: Version;
  /** Made if missing; the same id is stored once. */
  eventId?: string;
  /** Up to 16 strings that travel beside the payload. */
  meta?: Record<string, string>;
  /** `false`: no answer, not queued, dropped while disconnected (cursors). */
  ack?: boolean;
  /** Gives up a publication that could not be sent by then. */
  timeoutMs?: number;
}

// --- a typed channel map ------------------------------------------------------------------------------------

/**
 * What travels where: by pattern of channel names (`*` stands for any run of characters) the payload of each type of
 * event. `new Hub<{ "job:*": { job_status: Job } }>(…)` knows that `subscribe("job:42")` brings `Job`s.
 */
export type ChannelMap = Record<string, Record<string, any>>;

/** The channel names that a pattern matches. */
type Matches<Pattern extends string> = Pattern extends `${infer Head}*${infer Tail}`
  ? `${Head}${string}${Matches<Tail>}`
  : Pattern;
/** The names of a map's channels. */
export type ChannelOf<Channels> = { [P in keyof Channels & string]: Matches<P> }[keyof Channels & string];
/** The patterns that a channel's name fits. */
type Fitting<Channels, Name extends string> = {
  [P in keyof Channels & string]: Name extends Matches<P> ? P : never;
}[keyof Channels & string];
type EventsOf<Types> = { [T in keyof Types & string]: HubEvent<Types[T], T> }[keyof Types & string];
/** The events of a channel of a map. */
export type EventOf<Channels, Name extends string> = EventsOf<Channels[Fitting<Channels, Name>]>;
/** A hub without a map: every name, and payloads of the caller's word. */
type Untyped<Channels> = string extends keyof Channels ? unknown : never;

// --- the classes --------------------------------------------------------------------------------------------

/** Listeners by name. */
declare class Emitter<Events extends Record<keyof Events, any[]>> {
  /** Answers a function that takes the listener away. */
  on<Name extends keyof Events>(name: Name, listener: (...args: Events[Name]) => void): () => void;
}

export interface HubEvents {
  state: [state: HubState];
  /** What nobody else can be told; without a listener it goes to the console. */
  error: [error: Error];
  /** Of channels that the token brought and nobody subscribed to here. */
  event: [event: HubEvent, position: Position | null];
  gap: [gap: Gap, channel: string, position: Position | null];
  /** Whether the hub serves such a channel: one that it could not subscribe at first comes later. */
  channel: [channel: string, state: SubscriptionState, position: Position | null];
}

/** A connection to the hub that comes back, and what it carries. */
export class Hub<Channels extends { [P in keyof Channels]: object } = ChannelMap> extends Emitter<HubEvents> {
  /**
   * Throws nothing and touches nothing; it connects in the next microtask, unless `autoConnect` is false.
   * @param url The hub's address, `https://example.com/hub`, or of its socket, `wss://example.com/hub/ws`; or a path of the page's host.
   */
  constructor(url: string, options?: HubOptions);
  get state(): HubState;
  /** Connects, or connects again after `closed`. */
  connect(): void;
  /** Leaves for good; requests that wait are rejected. Subscriptions stay, and resume after `connect()`. */
  close(): void;

  subscribe<Name extends ChannelOf<Channels>>(
    channel: Name,
    options?: SubscribeOptions<EventOf<Channels, Name>>,
  ): Subscription<EventOf<Channels, Name>>;
  subscribe<Payload = any>(
    channel: Untyped<Channels> extends never ? never : string,
    options?: SubscribeOptions<HubEvent<Payload>>,
  ): Subscription<HubEvent<Payload>>;

  /** Rejects with a `HubError`; its `outcome` is `unknown` where it may have been stored. */
  publish<Name extends ChannelOf<Channels>, Event extends EventOf<Channels, Name>, Type extends Event["type"]>(
    channel: Name,
    event: Type,
    payload: Extract<Event, { type: Type }>["payload"],
    options?: PublishOptions,
  ): Promise<Published>;
  publish<Payload = any>(
    channel: Untyped<Channels> extends never ? never : string,
    event: string,
    payload: Payload,
    options?: PublishOptions,
  ): Promise<Published>;

  /** Stored events after `since`, or the newest; oldest first. */
  history<Name extends ChannelOf<Channels>>(
    channel: Name,
    options?: { since?: Position; limit?: number },
  ): Promise<History<EventOf<Channels, Name>>>;
  history<Payload = any>(
    channel: Untyped<Channels> extends never ? never : string,
    options?: { since?: Position; limit?: number },
  ): Promise<History<HubEvent<Payload>>>;

  /** Who is in a channel, without subscribing to it. `group: "user"`: one entry a user. */
  presence(channel: string, options?: { group?: "user" }): Promise<Member[]>;
  /** The hub's time, ms. */
  ping(): Promise<number>;
}

export interface SubscriptionEvents<Event extends HubEvent = HubEvent> {
  event: [event: Event];
  snapshot: [events: Event[], position: Position];
  gap: [gap: Gap];
  state: [state: SubscriptionState];
  presence: [members: Member[], change: PresenceChange];
  unread: [unread: number];
}

/** One's interest in a channel: its events, and where one stands. */
export class Subscription<Event extends HubEvent = HubEvent> extends Emitter<SubscriptionEvents<Event>> {
  private constructor();
  readonly channel: string;
  readonly options: SubscribeOptions<Event>;
  /** Behind the last event; null before the first answer, and on ephemeral channels. */
  get position(): Position | null;
  get state(): SubscriptionState;
  /** Who is present, with `presence`. */
  get members(): Member[];
  /** Events that the user has not acknowledged, in an inbox. */
  get unread(): number | undefined;
  /** Moves the user's read cursor, to the last event if no other is named. */
  ack(position?: Position | null): Promise<void>;
  /** What the other members see of this one, up to 4 KiB of JSON; kept over reconnects. */
  setPresence(state: unknown): Promise<void>;
  unsubscribe(): void;
}

// --- the outside world --------------------------------------------------------------------------------------

export interface Codec {
  /** The WebSocket subprotocol. */
  protocol: string;
  /** Throws on what can't be sent. */
  encode: (message: object) => string | Uint8Array<ArrayBuffer>;
  /** Throws on anything malformed. */
  decode: (data: string | ArrayBuffer) => unknown;
}

/** What the client needs of the world, handed in so that tests need no sleep. */
export interface Env {
  /** Wall clock, ms: it jumps when the machine slept, which is how that is noticed. */
  now: () => number;
  setTimeout: (run: () => void, ms: number) => any;
  clearTimeout: (timer: any) => void;
  /** In [0, 1). */
  random: () => number;
  WebSocket?: WebSocketConstructor;
  /** A hint, which may be wrong both ways. */
  online: () => boolean;
  /**
   * Calls `wake` when the network or the page comes back, `offline` when the network goes, `aside` when the page goes to
   * the back/forward cache or is frozen; answers how to stop that.
   */
  watch: (wake: () => void, offline: () => void, aside?: () => void) => () => void;
  /** Web Locks and BroadcastChannel, for `shared`. */
  locks?: any;
  BroadcastChannel?: any;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export interface WebSocketLike {
  binaryType: any;
  readonly bufferedAmount: number;
  readonly readyState: number;
  onopen: ((event: any) => any) | null;
  onmessage: ((event: any) => any) | null;
  onclose: ((event: any) => any) | null;
  onerror: ((event: any) => any) | null;
  send(data: any): void;
  close(code?: number, reason?: string): void;
}

export {};
