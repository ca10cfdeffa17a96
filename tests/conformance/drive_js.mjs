// The JavaScript client for the scenarios: what it hands over, a line of JSON each.
import { Hub } from "../../client_js/src/index.js";

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

let WebSocket = globalThis.WebSocket;
if (WebSocket === undefined) ({ WebSocket } = await import("../../client_js/node_modules/ws/wrapper.mjs"));
const hub = new Hub(process.env.HUB_URL, { WebSocket, getToken: () => process.env.HUB_TOKEN });
hub.on("error", () => {});
hub.subscribe(process.env.HUB_CHANNEL, {
  onEvent: ({ offset, payload }) => say({ event: { offset, payload } }),
  onSnapshot: (events) => say({ snapshot: events.map(({ payload }) => payload) }),
  onGap: ({ from, to, cause }) => say({ gap: { from, to, cause } }),
});
setInterval(() => {}, 60_000);
