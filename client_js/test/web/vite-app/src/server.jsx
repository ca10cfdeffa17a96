import { renderToString } from "react-dom/server";
import { Hub } from "notification-hub-client";
import { msgpack } from "notification-hub-client/msgpack";
import { App } from "./app.jsx";

// a module of the application makes its hub when it is loaded, wherever that is
const hub = new Hub("/ws", { codec: msgpack, autoConnect: false });
hub.subscribe("job:web");
console.log(renderToString(<App />), hub.state.name);
