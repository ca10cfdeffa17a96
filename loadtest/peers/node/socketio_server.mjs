// socket.io on Node.js as its documentation shows it: rooms and emit, WebSocket only, no compression.
// Run by the load test as `socketio_server.mjs HOST PORT` with the HS256 secret in PEER_SECRET.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";

const [host, port] = process.argv.slice(2);
const secret = process.env.PEER_SECRET;

function verified(token) {
  const [header, claims, signature] = String(token).split(".");
  if (signature === undefined) return false;
  const expected = createHmac("sha256", secret).update(`${header}.${claims}`).digest();
  const given = Buffer.from(signature, "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false;
  if (JSON.parse(Buffer.from(header, "base64url")).alg !== "HS256") return false;
  return JSON.parse(Buffer.from(claims, "base64url")).exp > Date.now() / 1000;
}

const http = createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (request.method !== "POST" || url.pathname !== "/publish") {
    response.writeHead(404, { "Content-Length": 0 }).end();
    return;
  }
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    io.to(url.searchParams.get("channel")).emit("load", JSON.parse(Buffer.concat(parts)));
    response.writeHead(202, { "Content-Length": 0 }).end();
  });
});

const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
io.use((socket, next) => next(verified(socket.handshake.auth.token) ? undefined : new Error("token")));
io.on("connection", (socket) => socket.join(socket.handshake.auth.channels));
http.listen({ host, port: Number(port), backlog: 4096 });
