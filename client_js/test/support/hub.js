import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { Hub } from "../../src/index.js";

const SECRET = "only-for-tests-only-for-tests-only-for-tests";
const BINARY = process.env.HUB_BIN ?? fileURLToPath(new URL("../../../.venv/bin/hub", import.meta.url));
/** Time-outs of the tests are multiplied by this on slow machines. */
const SLOW = Number(process.env.TEST_SLOWNESS ?? 1);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for a condition, with a deadline; says what it waited for. */
export async function until(condition, what, ms = 15_000) {
  const deadline = Date.now() + ms * SLOW;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`waited ${ms} ms for ${what}`);
    await sleep(10);
  }
}

/** A token as the hub's backend would sign it. */
export const sign = (user, grants = {}, seconds = 3600) =>
  token({ sub: user, hub: { subscribe: ["*"], publish: ["*"], presence: ["*"], ...grants } }, seconds);

/** A token for one channel. */
export const signChannel = (user, channel, grants = {}, seconds = 3600) => token({ sub: user, channel, hub: grants }, seconds);

function token(claims, seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Date.now() / 1000;
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ iat: Math.floor(now), exp: now + seconds, ...claims })}`;
  return `${body}.${createHmac("sha256", SECRET).update(body).digest("base64url")}`;
}

const SERVICE = () => sign("tests", { service: true });

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a program, ends it with the test. */
function start(t, command, args, env) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  child.output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (child.output = (child.output + data).slice(-20_000)));
  child.ended = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await child.ended;
  });
  return child;
}

/** One node of the real hub. */
export class Node {
  static async start(t, { broker = "memory://", env = {}, port } = {}) {
    if (!existsSync(BINARY)) throw new Error(`these tests need the hub: there is no ${BINARY} (HUB_BIN names another)`);
    const node = new Node();
    node.port = port ?? (await freePort());
    const settings = { HUB_JWT_SECRET: SECRET, HUB_DRAIN_NOTICE: "1", HUB_DRAIN_SECONDS: "4", HUB_HEARTBEAT_MS: "5000", ...env };
    node.child = start(t, BINARY, ["serve", "--dev", "--port", String(node.port), "--broker", broker], settings);
    await until(async () => {
      if (node.child.exitCode !== null) throw new Error(`the hub ended at once:\n${node.child.output}`);
      return (await fetch(`${node.http}/livez`).catch(() => null))?.ok;
    }, "the hub to answer", 30_000);
    return node;
  }

  get http() {
    return `http://127.0.0.1:${this.port}`;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  async post(path, body) {
    const response = await fetch(`${this.http}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${SERVICE()}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  publish(channel, event, payload, more = {}) {
    return this.post("/v1/publish", { channel, event, payload, ...more });
  }

  /** Who is connected, by the hub's word. */
  async connections(user) {
    const headers = { authorization: `Bearer ${SERVICE()}` };
    const answer = await fetch(`${this.http}/v1/connections?user=${user}`, { headers });
    return (await answer.json()).connections;
  }

  kill() {
    this.child.kill("SIGKILL");
    return this.child.ended;
  }

  stop() {
    this.child.kill("SIGTERM");
    return this.child.ended;
  }
}

/** A Redis of the test's own, on a socket file's worth of memory. */
export async function redis(t) {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "hub-redis-"));
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder];
  const child = start(t, "redis-server", args, {});
  child.once("error", () => {});
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  await until(
    () =>
      new Promise((resolve) => {
        const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
        socket.once("data", () => resolve(socket.destroy()));
        socket.once("error", () => resolve(null));
      }),
    "redis-server (Debian package redis-server) to answer",
  );
  return `redis://127.0.0.1:${port}/0`;
}

/** A network between a client and nodes that can be made bad. */
export class Proxy {
  /** @type {"pass" | "refuse" | "swallow"} What happens to new connections. */
  mode = "pass";
  /** ms that every chunk takes, each way. */
  delay = 0;
  #pairs = new Set();
  connections = 0;

  static async start(t, target) {
    const proxy = new Proxy();
    proxy.target = target;
    proxy.server = createServer((client) => proxy.#accept(client));
    await new Promise((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
    proxy.port = proxy.server.address().port;
    t.after(async () => {
      proxy.cut();
      await new Promise((resolve) => proxy.server.close(resolve));
    });
    return proxy;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  get open() {
    return this.#pairs.size;
  }

  #accept(client) {
    this.connections++;
    client.on("error", () => {});
    if (this.mode === "refuse") return client.destroy();
    const pair = { client, upstream: null, dead: false };
    this.#pairs.add(pair);
    client.once("close", () => this.#pairs.delete(pair));
    if (this.mode === "swallow") return;
    const upstream = (pair.upstream = connect(this.target, "127.0.0.1"));
    upstream.on("error", () => client.destroy());
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      from.on("data", (data) => {
        if (pair.dead) return;
        if (!this.delay) return to.write(data);
        setTimeout(() => !pair.dead && to.writable && to.write(data), this.delay);
      });
      from.once("close", () => (pair.dead ? null : to.destroy()));
    }
  }

  /** Every connection breaks. */
  cut() {
    for (const { client, upstream } of this.#pairs) {
      client.destroy();
      upstream?.destroy();
    }
  }

  /** Every connection stays open and carries nothing any more. */
  halfOpen() {
    for (const pair of this.#pairs) pair.dead = true;
  }
}

/** A client for Node.js, closed with the test; `states` has the names it went through. */
export function client(t, url, options = {}) {
  const { user = "ann", grants, seconds, ...more } = options;
  const hub = new Hub(url, {
    WebSocket,
    getToken: () => sign(user, grants, seconds),
    minBackoffMs: 20,
    ...more,
    env: { ...more.env },
  });
  hub.states = [];
  hub.errors = [];
  hub.on("state", (state) => hub.states.push(state.name));
  hub.on("error", (error) => hub.errors.push(error));
  t.after(() => hub.close());
  return hub;
}

export const connected = (hub) => until(() => hub.state.name === "connected", "a connection");
export const live = (sub) => until(() => sub.state.name === "live", `${sub.channel} to be live`);

/** Offsets from `first` to `last`. */
export const range = (first, last) => Array.from({ length: last - first + 1 }, (_, n) => first + n);
