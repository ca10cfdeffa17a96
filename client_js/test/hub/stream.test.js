/** Where no WebSocket can be had: the client, the real hub, and a proxy between them that knows HTTP only. */
import "../support/global_websocket.js";
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { Hub } from "../../src/index.js";
import { Node, range, sign, signChannel, sleep, until } from "../support/hub.js";

/** An HTTP proxy. `upgrades`: whether it lets WebSockets through; it did so `upgraded` times. */
class HttpOnly {
  upgrades = false;
  upgraded = 0;
  refused = 0;
  #sockets = new Set();

  static async start(t, port) {
    const proxy = new HttpOnly();
    const server = createServer((asked, answer) => {
      const { method, url, headers } = asked;
      const onward = request({ host: "127.0.0.1", port, method, path: url, headers }, (got) => {
        answer.writeHead(got.statusCode, got.headers);
        answer.flushHeaders();
        got.pipe(answer);
      });
      answer.on("close", () => onward.destroy());
      onward.on("error", () => answer.destroy());
      asked.pipe(onward);
    });
    server.on("connection", (socket) => {
      proxy.#sockets.add(socket);
      socket.on("close", () => proxy.#sockets.delete(socket));
    });
    server.on("upgrade", (asked, socket) => {
      socket.on("error", () => {});
      if (!proxy.upgrades) {
        proxy.refused++;
        return socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      }
      proxy.upgraded++;
      const onward = connect(port, "127.0.0.1");
      onward.on("error", () => socket.destroy());
      const lines = asked.rawHeaders.reduce((all, each, at) => all + each + (at % 2 ? "\r\n" : ": "), "");
      onward.write(`GET ${asked.url} HTTP/1.1\r\n${lines}\r\n`);
      onward.pipe(socket).pipe(onward);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    proxy.url = `ws://127.0.0.1:${server.address().port}/ws`;
    t.after(() => {
      proxy.cut();
      server.close();
    });
    return proxy;
  }

  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Looks for a WebSocket twice a second, not once a minute. */
const SOON = { setTimeout: (run, ms) => setTimeout(run, ms >= 30_000 ? 500 : ms) };

function client(t, url, options = {}) {
  const hub = new Hub(url, { getToken: () => sign("ann"), minBackoffMs: 20, maxBackoffMs: 200, stableMs: 50, ...options });
  hub.errors = [];
  hub.on("error", (error) => hub.errors.push(error));
  t.after(() => hub.close());
  return hub;
}

test("without WebSockets", { timeout: 180_000 }, async (t) => {
  const node = await Node.start(t);
  const proxy = await HttpOnly.start(t, node.port);

  await t.test("after two attempts a stream: every event once over cuts, and back to a WebSocket", async (t) => {
    const hub = client(t, proxy.url, { env: SOON });
    const seen = [];
    const other = [];
    const gaps = [];
    const states = [];
    hub.on("state", ({ name }) => states.push(name));
    const see = (list) => ({ onEvent: ({ payload }) => list.push(payload), onGap: (gap) => gaps.push(gap) });
    const first = hub.subscribe("doc:one", see(seen));
    await until(() => first.state.name === "live", "the first subscription");
    assert.ok(proxy.refused >= 2 && proxy.refused <= 4, `${proxy.refused} attempts`); // its code is loaded after the first
    let count = 0;
    let going = true;
    const publishing = (async () => {
      while (going) {
        await node.publish("doc:one", "n", ++count, {});
        await sleep(3);
      }
    })();
    await until(() => seen.length > 50, "events");
    // A second channel, what is asked beside the stream, and what comes of it.
    const second = hub.subscribe("doc:two", see(other));
    await until(() => second.state.name === "live", "the second subscription");
    const published = await hub.publish("doc:two", "n", "by HTTP");
    assert.equal(published.offset, 1);
    await until(() => other.length === 1, "one's own event");
    const { events } = await hub.history("doc:two");
    assert.deepEqual(events.map(({ payload }) => payload), ["by HTTP"]);
    await assert.rejects(hub.publish("nope:1", "n", 1), { code: "unknown_namespace" });
    for (let cuts = 0; cuts < 3; cuts++) {
      await sleep(100);
      proxy.cut();
      await until(() => hub.state.name !== "connected", "the cut to be noticed");
      await until(() => hub.state.name === "connected" && first.state.name === "live", "the stream to be back");
    }
    // Somebody mends the proxy.
    proxy.upgrades = true;
    states.length = 0;
    await until(() => proxy.upgraded >= 2, "a WebSocket");
    await until(async () => (await node.connections("ann")).length === 1, "the stream to be left");
    going = false;
    await publishing;
    await until(() => seen.length >= count, "all events");
    assert.deepEqual(seen, range(1, count));
    assert.deepEqual(gaps, []);
    assert.deepEqual(states, [], "nothing was interrupted by the way back");
    assert.deepEqual(hub.errors, []);
  });

  await t.test("a channel that is refused ends alone", async (t) => {
    proxy.upgrades = false;
    const hub = client(t, proxy.url, { getToken: () => sign("bob", { subscribe: ["doc:*"] }) });
    const good = hub.subscribe("doc:good", {});
    const bad = hub.subscribe("job:bad", {});
    await until(() => bad.state.name === "ended" && good.state.name === "live", "one to end, one to live");
    assert.equal(bad.state.error.code, "forbidden");
    good.unsubscribe();
    await until(async () => (await node.connections("bob")).length === 0, "the stream to end");
  });

  await t.test("a channel token: renewed over the stream, asked for anew where it has ended", async (t) => {
    const reasons = { "doc:renewed": [], "doc:ended": [] };
    const getToken = ({ channel, reason }) => {
      reasons[channel].push(reason);
      // the one whose renewal fails is asked for again once it has ended
      if (channel === "doc:ended" && reason === "expiring") throw new Error("not now");
      return signChannel("ann", channel, {}, reasons[channel].length === 1 ? 4 : 3600);
    };
    const hub = client(t, proxy.url, { getToken: () => sign("ann", { subscribe: ["doc:session"] }) });
    const seen = { "doc:renewed": [], "doc:ended": [] };
    const see = ({ channel, payload }) => seen[channel].push(payload);
    const subs = Object.keys(seen).map((channel) => hub.subscribe(channel, { getToken, onEvent: see }));
    await until(() => subs.every(({ state }) => state.name === "live"), "both to be live");
    for (let n = 1; n <= 8; n++) {
      for (const { channel } of subs) await node.publish(channel, "n", n);
      await sleep(1000);
    }
    for (const { channel } of subs) await until(() => seen[channel].length === 8, `all of ${channel}`);
    assert.deepEqual(seen, { "doc:renewed": range(1, 8), "doc:ended": range(1, 8) });
    assert.deepEqual(reasons["doc:renewed"], ["connect", "expiring"]);
    // the stream that the other one's renewal began anew warned of it a second time
    assert.deepEqual([...new Set(reasons["doc:ended"])], ["connect", "expiring", "refused"]);
    hub.close();
  });

  await t.test("a state channel's snapshot of several pages", async (t) => {
    const text = "x".repeat(1000);
    for (let key = 0; key < 120; key++) await node.publish("job:pages", "s", { key, text }, { key: String(key) });
    const hub = client(t, proxy.url);
    let snapshot;
    hub.subscribe("job:pages", { onSnapshot: (events) => (snapshot = events) });
    await until(() => snapshot?.length === 120, "the whole snapshot");
  });

  await t.test("a token that is refused, and another one too, stops", async (t) => {
    const hub = client(t, proxy.url, { getToken: () => "not.a.token" });
    hub.subscribe("doc:one", {});
    await until(() => hub.state.name === "closed", "the end");
    assert.equal(hub.state.why.error.code, "token");
  });

  await t.test("a setting forbids it", async (t) => {
    const before = proxy.refused;
    const hub = client(t, proxy.url, { fallback: false });
    await until(() => proxy.refused >= before + 4, "more attempts");
    assert.notEqual(hub.state.name, "connected");
  });
});
