// A user's program: what the types must accept, and (marked) what they must refuse.
import {
  Hub,
  HubError,
  type Gap,
  type History,
  type HubEvent,
  type HubOptions,
  type HubState,
  type Member,
  type Outcome,
  type Position,
  type Published,
  type PublishOptions,
  type SubscribeOptions,
  type Subscription,
} from "notification-hub-client";
import { msgpack } from "notification-hub-client/msgpack";

const options: HubOptions = { getToken: async ({ reason }) => reason, codec: msgpack, shared: "ann" };
const hub = new Hub("wss://example.com/ws", options);
const job: Subscription = hub.subscribe("job:42", {
  since: { epoch: "k3f9", offset: 12 },
  presence: { as: "tab-1" },
  onEvent: (event) => console.log(event.payload, event.offset?.toFixed()),
  onSnapshot: (events, position) => console.log(events.length, position.offset),
  onGap: ({ from, to, cause }) => console.log(from, to, cause),
  onPresence: (members, change) => console.log(members[0]?.user, change.type),
  onUnread: (count) => count.toFixed(),
  getToken: async ({ channel, reason }) => (reason === "connect" ? channel : null),
});
const stop: () => void = hub.on("state", (state: HubState) => {
  if (state.name === "reconnecting") state.inMs.toFixed();
  // @ts-expect-error: only a reconnecting hub waits
  state.inMs;
});
hub.on("error", (error) => error.message);
hub.on("event", (event, position) => [event.channel, position?.epoch]);
hub.on("channel", (channel, { name, error }) => [channel, name, error?.code]);
job.on("gap", (gap: Gap) => gap.cause);
// @ts-expect-error: there is no such event
job.on("gaps", () => {});
hub.subscribe("job:42", { onEvent: ({ payload }) => payload.whatever.it.is });
const stored: Position | null = job.position;
const published: Published = await hub.publish("doc:7", "cursor", { x: 1 }, { key: "me", version: [1, 2] } satisfies PublishOptions);
const offset: number | undefined = published.offset;
const eventId: string | undefined = published.eventId;
// @ts-expect-error: one case for names
published.event_id;
// @ts-expect-error: a version is a number or a pair
await hub.publish("doc:7", "cursor", {}, { version: "1" });
const error = new HubError("timeout", "late");
const code: string = error.code;
const outcome: Outcome = error.outcome;

// payloads of the caller's word
interface Job {
  state: "queued" | "running";
  progress: number;
}
interface Cursor {
  x: number;
  y: number;
}
const typed = hub.subscribe<Job>("job:42", { onEvent: ({ payload }) => payload.progress.toFixed() });
typed.on("event", (event: HubEvent<Job>) => event.payload.state);
// @ts-expect-error: no such field
typed.on("event", ({ payload }) => payload.percent);
await hub.publish<Cursor>("doc:7", "cursor", { x: 1, y: 2 });
// @ts-expect-error: half a cursor
await hub.publish<Cursor>("doc:7", "cursor", { x: 1 });
const history: History<HubEvent<Job>> = await hub.history<Job>("job:42", { limit: 10 });
const members: Member<{ name: string }>[] = await hub.presence("doc:7");
const given: SubscribeOptions<HubEvent<Job>> = { onSnapshot: (events) => events.map(({ payload }) => payload.state) };
hub.subscribe("job:7", given);

// a typed channel map
interface Channels {
  "job:*": { job_status: Job; job_log: { line: string } };
  "doc:*:cursors": { moved: Cursor };
  "system:all": { notice: string };
}
const mapped = new Hub<Channels>("/ws", { autoConnect: false });
mapped.subscribe("job:42", {
  onEvent: (event) => {
    if (event.type === "job_status") return event.payload.progress.toFixed();
    return event.payload.line.trim();
  },
});
mapped.subscribe("doc:7:cursors").on("event", ({ payload }) => payload.x.toFixed());
mapped.subscribe("system:all", { onEvent: ({ payload }) => payload.trim() });
await mapped.publish("job:42", "job_log", { line: "hello" });
await mapped.publish("doc:7:cursors", "moved", { x: 1, y: 2 });
(await mapped.history("job:42")).events.map((event) => event.type === "job_log" && event.payload.line);
// @ts-expect-error: no such channel
mapped.subscribe("jbo:42");
// @ts-expect-error: no such channel
await mapped.publish("jbo:42", "job_log", { line: "hello" });
// @ts-expect-error: no such type of event
await mapped.publish("job:42", "job_lgo", { line: "hello" });
// @ts-expect-error: another event's payload
await mapped.publish("job:42", "job_status", { line: "hello" });
export { code, eventId, history, members, offset, outcome, stop, stored };

// React
import { HubProvider, useChannel, useConnection, useHub, usePresence, usePublish, useSnapshot, useUnread } from "notification-hub-client/react";

export function Component() {
  const { events, byKey, state, ready, gap } = useChannel<Job>("job:42", { limit: 10, onEvent: ({ payload }) => payload.progress });
  const progress: number | undefined = byKey.get("42")?.payload.progress;
  // @ts-expect-error: no such field
  events[0]?.payload.percent;
  const jobs: ReadonlyMap<string, HubEvent<Job>> | undefined = useSnapshot<Job>("job:42");
  const { members, setState } = usePresence("doc:7", { as: "tab-1" });
  const { unread, ack } = useUnread(null);
  const publish = usePublish<Cursor>("doc:7");
  const connection = useConnection();
  if (connection.name === "reconnecting") connection.inMs.toFixed();
  void publish("moved", { x: 1, y: 2 }, { ack: false });
  // @ts-expect-error: half a cursor
  void publish("moved", { x: 1 });
  void setState({ typing: true });
  void ack();
  useHub().close();
  return [HubProvider({ url: "/ws", options: { shared: true }, children: null }), state, ready, gap, progress, jobs, members, unread];
}
