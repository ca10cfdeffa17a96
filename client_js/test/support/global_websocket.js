/** Node.js before 22 has no WebSocket of its own; imported before the client, which looks for one when it is loaded. */
import { WebSocket } from "ws";

globalThis.WebSocket ??= WebSocket;
