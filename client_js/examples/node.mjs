// Follows a channel in a terminal: node examples/node.mjs ws://127.0.0.1:8000/ws job:42
// The token comes from the environment: HUB_TOKEN. The position is printed at the end; given back as a third
// argument (epoch:offset) it resumes there.
import { WebSocket } from "ws";
import { Hub } from "notification-hub-client";

const [url, channel, mark] = process.argv.slice(2);
if (!url || !channel || !process.env.HUB_TOKEN) {
  console.error("usage: HUB_TOKEN=… node node.mjs <ws url> <channel> [epoch:offset]");
  process.exit(2);
}
const [, epoch, offset] = /^(.+):(\d+)$/.exec(mark ?? "") ?? [];

const hub = new Hub(url, { WebSocket, getToken: () => process.env.HUB_TOKEN });
hub.on("state", (state) => console.error(state.name, state.why?.reason ?? ""));

const subscription = hub.subscribe(channel, {
  since: epoch ? { epoch, offset: Number(offset) } : null,
  onSnapshot: (events) => events.forEach((event) => console.log("=", event.key, JSON.stringify(event.payload))),
  onEvent: (event) => console.log(event.offset ?? "-", event.type, JSON.stringify(event.payload)),
  onGap: (gap) => console.error("gap", gap),
  onState: ({ name, error }) => {
    if (name !== "ended") return;
    console.error(error?.message ?? "ended");
    hub.close();
  },
});

process.once("SIGINT", () => {
  const { position } = subscription;
  if (position) console.error(`${position.epoch}:${position.offset}`);
  hub.close();
});
