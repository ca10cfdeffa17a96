// A service or a script: Node.js with a WebSocket of its own (22 and later), or with the `ws` package.
import { Hub } from "notification-hub-client";

const [url, token] = process.argv.slice(2);
const options = globalThis.WebSocket ? {} : { WebSocket: (await import("../../node_modules/ws/wrapper.mjs")).WebSocket };
const hub = new Hub(url, { getToken: () => token, ...options });
const seen = new Promise((resolve) => hub.subscribe("doc:node", { onEvent: resolve, onState: ({ name }) => name === "live" && hub.publish("doc:node", "n", process.version) }));
console.log((await seen).payload);
hub.close();
