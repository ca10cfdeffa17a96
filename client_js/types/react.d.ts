import type { ReactNode } from "react";
import type {
  Gap,
  Hub,
  HubError,
  HubEvent,
  HubOptions,
  HubState,
  Member,
  Position,
  Published,
  PublishOptions,
  SubscriptionState,
  TokenReason,
} from "./index.js";

export interface HubProviderProps {
  /** A hub that the application made, and connects and closes itself. */
  hub?: Hub<any>;
  /** Or the address for one of the provider's own: connected while it is mounted, never on a server. */
  url?: string;
  /** For that one; `autoConnect` is the provider's. Read once: another `url` or other options need another `key`. */
  options?: HubOptions;
  children?: ReactNode;
}

/** What a component sees of a channel. A new object when something changed, at most once a frame. */
export interface ChannelView<Payload = any> {
  state: SubscriptionState["name"];
  /** Why it ended, if not with the component. */
  error: HubError | undefined;
  /** Whether the hub has answered once: before, the rest is empty because nothing is known. */
  ready: boolean;
  /** The newest ones, oldest first, `limit` at most. */
  events: HubEvent<Payload>[];
  /** The latest event of each key: the snapshot and what followed. */
  byKey: ReadonlyMap<string, HubEvent<Payload>>;
  members: Member[];
  unread: number | undefined;
  /** The last one: what is shown has a hole, unless a snapshot followed. */
  gap: Gap | null;
}

/** Components that ask for the same share one subscription. */
export interface ChannelOptions<Payload = any> {
  since?: Position | null;
  presence?: boolean | { as: string };
  maxRate?: number;
  echo?: boolean;
  /** A token of this channel (`subscribe`); the first component's is asked. */
  getToken?: (request: { channel: string; reason: TokenReason }) => string | null | Promise<string | null>;
  /** How many of the newest events are kept: 100. */
  limit?: number;
  /** Each event once, also those between two frames. */
  onEvent?: (event: HubEvent<Payload>) => void;
}

/** Gives a hub to all below. */
export function HubProvider(props: HubProviderProps): ReactNode;
/** The hub of the provider above. Throws where there is none. */
export function useHub(): Hub<any>;
/** The connection's state, for a badge. */
export function useConnection(): HubState;
/** A channel, shown once a frame; null subscribes to nothing. */
export function useChannel<Payload = any>(channel: string | null, options?: ChannelOptions<Payload>): ChannelView<Payload>;
/** The latest event of each key; undefined until the hub has told it. */
export function useSnapshot<Payload = any>(
  channel: string | null,
  options?: ChannelOptions<Payload>,
): ReadonlyMap<string, HubEvent<Payload>> | undefined;
/** Who is in a channel, this one included, and how to change one's own state. */
export function usePresence(
  channel: string | null,
  options?: { as?: string },
): { members: Member[]; setState: (state: unknown) => Promise<void> };
/** How much of an inbox is unread, and how to say that all of it was read. */
export function useUnread(channel: string | null): { unread: number | undefined; ack: () => Promise<void> };
/** Publishes to one channel; the function stays the same from rendering to rendering. */
export function usePublish<Payload = any>(
  channel: string,
): (event: string, payload: Payload, options?: PublishOptions) => Promise<Published>;
