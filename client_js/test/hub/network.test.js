/** The client and the real hub, on a network that cuts, delays, half-opens, refuses and swallows, and nodes that go. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Proxy, client, connected, live, range, redis, sleep, until } from "../support/hub.js";

/** Publishes numbers in the background, one at a time; `stop` answers how many. */
function publisher(node, channel, { every = 5, of = Infinity, key } = {}) {
  let going = true;
  let count = 0;
  const done = (async () => {
    while (going && count < of) {
      await node.publish(channel, "n", count + 1, { event_id: `${channel}-${count + 1}`, ...(key ? { key: key(count) } : {}) });
      count++;
      await sleep(every);
    }
    return count;
  })();
  return {
    done,
    stop() {
      going = false;
      return done;
    },
  };
}

/** What a subscription sees, with what must never happen to it. */
function watch(hub, channel, options = {}) {
  const seen = [];
  const gaps = [];
  const sub = hub.subscribe(channel, { ...options, onEvent: ({ payload }) => seen.push(payload), onGap: (gap) => gaps.push(gap) });
  return { sub, seen, gaps };
}

test("a bad network", { timeout: 300_000 }, async (t) => {
  const node = await Node.start(t);
  const proxy = await Proxy.start(t, node.port);

  await t.test("cut again and again while events flow: every event once, in order", async (t) => {
    const hub = client(t, proxy.url, { stableMs: 50 }); // or the waits would outgrow the history
    const { sub, seen, gaps } = watch(hub, "doc:cut");
    await live(sub);
    const events = publisher(node, "doc:cut");
    for (let cut = 0; cut < 6; cut++) {
      await sleep(150 + 100 * (cut % 3));
      proxy.cut();
      await until(() => hub.state.name !== "connected", "the cut to be noticed");
      await connected(hub);
    }
    const count = await events.stop();
    await until(() => seen.length >= count, "all events", 30_000);
    assert.deepEqual(seen, range(1, count));
    assert.deepEqual(gaps, []);
    assert.ok(hub.states.filter((name) => name === "connected").length >= 7);
  });

  await t.test("half-open: noticed by a ping, and resumed", async (t) => {
    const hub = client(t, proxy.url, { pingAfterMs: 500, pongTimeoutMs: 500 });
    const { sub, seen } = watch(hub, "doc:half");
    await live(sub);
    proxy.halfOpen();
    for (const n of [1, 2, 3]) await node.publish("doc:half", "n", n);
    const began = Date.now();
    await until(() => seen.length === 3, "what was missed", 20_000);
    assert.deepEqual(seen, [1, 2, 3]);
    assert.ok(Date.now() - began < 15_000);
    assert.equal(hub.states[2], "reconnecting");
  });

  await t.test("a slow network is no dead one", async (t) => {
    proxy.delay = 250;
    t.after(() => (proxy.delay = 0));
    const hub = client(t, proxy.url, { pingAfterMs: 300, pongTimeoutMs: 3000 });
    const { sub, seen } = watch(hub, "doc:slow");
    await live(sub);
    await hub.publish("doc:slow", "n", 1);
    await sleep(2000);
    assert.deepEqual(seen, [1]);
    assert.deepEqual(hub.states, ["connecting", "connected"]);
  });

  await t.test("refused for a while: shown, retried with growing waits, and back", async (t) => {
    const hub = client(t, proxy.url);
    const waits = [];
    hub.on("state", (state) => state.name === "reconnecting" && waits.push(state.inMs));
    const { sub, seen } = watch(hub, "doc:refused");
    await live(sub);
    proxy.mode = "refuse";
    t.after(() => (proxy.mode = "pass"));
    proxy.cut();
    await node.publish("doc:refused", "n", 1);
    await until(() => waits.length >= 3, "three attempts", 30_000);
    proxy.mode = "pass";
    await until(() => seen.length === 1, "the way back", 30_000);
    assert.deepEqual(seen, [1]);
  });

  await t.test("swallowed: an attempt that nobody answers ends in time", async (t) => {
    proxy.mode = "swallow";
    t.after(() => (proxy.mode = "pass"));
    const hub = client(t, proxy.url, { connectTimeoutMs: 700 });
    await until(() => hub.state.name === "reconnecting", "the attempt to end");
    assert.match(hub.state.why.reason, /no answer in time/);
    proxy.mode = "pass";
    await connected(hub);
  });

  await t.test("publications over cuts: each stored once, in order", async (t) => {
    const hub = client(t, proxy.url);
    const other = client(t, node.url);
    const { sub, seen } = watch(other, "doc:publish");
    await live(sub);
    await connected(hub);
    const published = [];
    for (let n = 1; n <= 60; n++) {
      published.push(hub.publish("doc:publish", "n", n));
      if (n % 15 === 0) proxy.cut();
      await sleep(10);
    }
    const answers = await Promise.all(published);
    await until(() => seen.length >= 60, "all of them");
    assert.equal(new Set(answers.map(({ offset }) => offset)).size, 60);
    assert.deepEqual([...seen].sort((a, b) => a - b), range(1, 60));
    assert.deepEqual(seen, range(1, 60));
  });

  await t.test("half-open while publishing: the answer that was lost is asked for again", async (t) => {
    const hub = client(t, proxy.url, { pingAfterMs: 400, pongTimeoutMs: 400 });
    await connected(hub);
    proxy.halfOpen();
    const { offset } = await hub.publish("doc:lost", "n", 1);
    assert.equal(offset, 1);
    assert.equal((await hub.history("doc:lost")).events.length, 1);
  });

  await t.test("more was missed than is recovered: a gap with its range, and the stream goes on", async (t) => {
    const hub = client(t, proxy.url);
    const { sub, seen, gaps } = watch(hub, "doc:far");
    await live(sub);
    proxy.mode = "refuse";
    proxy.cut();
    await until(() => hub.state.name !== "connected", "the cut");
    const events = range(1, 1001).map((n) => ({ channel: "doc:far", event: "n", payload: n }));
    await node.post("/v1/batch", { events: events.slice(0, 1000) });
    await node.post("/v1/batch", { events: events.slice(1000) });
    proxy.mode = "pass";
    await until(() => sub.state.name === "live", "the way back", 30_000);
    await node.publish("doc:far", "n", 1002);
    await until(() => seen.length === 1, "the next event");
    assert.deepEqual(seen, [1002]);
    assert.equal(gaps.length, 1);
    assert.deepEqual([gaps[0].from, gaps[0].to], [1, 1001]);
    assert.ok(["too_far", "trimmed"].includes(gaps[0].cause));
  });
});

test("nodes that go", { timeout: 300_000 }, async (t) => {
  const broker = await redis(t);

  await t.test("killed while 1,000 events flow: every event once", async (t) => {
    const [a, b] = [await Node.start(t, { broker }), await Node.start(t, { broker })];
    const proxy = await Proxy.start(t, a.port);
    const hub = client(t, proxy.url);
    const { sub, seen, gaps } = watch(hub, "doc:kill");
    await live(sub);
    const events = publisher(b, "doc:kill", { every: 1, of: 1000 });
    await until(() => seen.length > 300, "a third of them", 60_000);
    proxy.target = b.port;
    await a.kill();
    await events.done;
    await until(() => seen.length >= 1000, "all of them", 30_000);
    assert.deepEqual(seen, range(1, 1000));
    assert.deepEqual(gaps, []);
  });

  await t.test("drained: made before broken, no state but connected, no event lost or doubled", async (t) => {
    const [a, b] = [await Node.start(t, { broker }), await Node.start(t, { broker })];
    const proxy = await Proxy.start(t, a.port);
    const hub = client(t, proxy.url);
    const { sub, seen, gaps } = watch(hub, "doc:drain");
    const changes = [];
    const other = client(t, b.url, { user: "bob" });
    const presence = other.subscribe("doc:drain", { presence: true, onPresence: (_, { type, members }) => changes.push([type, ...members.map(({ user }) => user)]) });
    const mine = hub.subscribe("doc:drain", { presence: { as: "me" } });
    await live(sub);
    await live(mine);
    await live(presence);
    await until(() => presence.members.length === 2, "both to be present");
    changes.length = 0;
    const { connection } = hub.state;
    const events = publisher(b, "doc:drain", { every: 2 });
    let most = 0;
    const counting = setInterval(() => (most = Math.max(most, proxy.open)), 1);
    proxy.target = b.port;
    const stopped = a.stop();
    await until(() => hub.state.connection !== connection && proxy.open === 1, "the hand-over", 30_000);
    await stopped;
    clearInterval(counting);
    await sleep(300);
    const count = await events.stop();
    await until(() => seen.length >= count, "all events");
    assert.deepEqual(seen, range(1, count));
    assert.deepEqual(gaps, []);
    assert.deepEqual(hub.states, ["connecting", "connected"]);
    assert.equal(most, 2, "two connections during the hand-over");
    assert.deepEqual(changes, [], "no leave and no join is shown");
  });

  await t.test("a hub without storage starts anew: a gap of its epoch, and on it goes", async (t) => {
    const first = await Node.start(t);
    const hub = client(t, first.url);
    const { sub, seen, gaps } = watch(hub, "doc:memory");
    await live(sub);
    await first.publish("doc:memory", "n", 1);
    await until(() => seen.length === 1, "the event");
    await first.kill();
    await until(() => hub.state.name !== "connected", "the end");
    const second = await Node.start(t, { port: first.port });
    await until(() => sub.state.name === "live", "the new hub", 30_000);
    await second.publish("doc:memory", "n", 2);
    await until(() => seen.length === 2, "the next event");
    assert.deepEqual(gaps.map(({ cause }) => cause), ["epoch"]);
    assert.deepEqual(seen, [1, 2]);
  });
});
