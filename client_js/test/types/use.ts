// A user's program: what the types must accept, and (marked) what they must refuse.
import { Hub, HubError, type Subscription } from "../../types/index.js";
import { msgpack } from "../../types/msgpack.js";
import { useChannel } from "../../types/react.js";

const hub = new Hub("wss://example.com/ws", { getToken: async ({ reason }) => reason, codec: msgpack, shared: "ann" });
const job: Subscription = hub.subscribe("job:42", {
  since: { epoch: "k3f9", offset: 12 },
  presence: { as: "tab-1" },
  onEvent: (event) => console.log(event.payload, event.offset?.toFixed()),
  onSnapshot: (events, position) => console.log(events.length, position.offset),
  onGap: ({ from, to, cause }) => console.log(from, to, cause),
  onPresence: (members, change) => console.log(members[0]?.user, change.type),
  onUnread: (count) => count.toFixed(),
});
const stop: () => void = hub.on("state", (state) => {
  if (state.name === "reconnecting") state.inMs.toFixed();
  // @ts-expect-error: only a reconnecting hub waits
  state.inMs;
});
hub.on("error", (error) => error.message);
hub.on("event", (event, position) => [event.channel, position?.epoch]);
job.on("gap", (gap) => gap.cause);
// @ts-expect-error: there is no such event
job.on("gaps", () => {});
const stored: { epoch: string; offset: number } | null = job.position;
const published = await hub.publish("doc:7", "cursor", { x: 1 }, { key: "me", version: [1, 2] });
const offset: number | undefined = published.offset;
// @ts-expect-error: a version is a number or a pair
await hub.publish("doc:7", "cursor", {}, { version: "1" });
const error = new HubError("timeout", "late");
const code: string = error.code;
declare const React: { useState: any; useEffect: any };
const { events, state } = useChannel(React, hub, "job:42", { limit: 10 });
export { code, events, offset, state, stop, stored };
