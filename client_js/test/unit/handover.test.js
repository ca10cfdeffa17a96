import assert from "node:assert/strict";
import { test } from "node:test";
import { Hub } from "../../src/index.js";
import { settle } from "../support/clock.js";
import { recorder } from "../support/log.js";
import { Wire } from "../support/sockets.js";

const DRAIN = { type: "hub.drain", reconnect: { min_ms: 1000, max_ms: 5000 }, deadline_ms: 30_000 };

async function connected(channels = ["job:1"]) {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env, getToken: () => "t", auth: "subprotocol" });
  const states = [];
  hub.on("state", ({ name }) => states.push(name));
  const records = channels.map(() => recorder());
  const subs = channels.map((channel, index) => hub.subscribe(channel, records[index].options));
  const old = await wire.welcome();
  answer(old, channels.map((channel) => ({ channel, epoch: "e", offset: 5 })));
  return { wire, hub, states, old, subs, records };
}

function answer(socket, results) {
  const { id } = socket.of("subscribe").at(-1);
  const [only] = results;
  socket.receives(results.length === 1 ? { type: "hub.subscribed", id, ...only } : { type: "hub.subscribed", id, results });
}

const event = (offset, more = {}) => ({ type: "moved", channel: "job:1", offset, id: `e_${offset}`, time: 1, payload: offset, ...more });

test("make before break: the old socket delivers until the new one has answered", async () => {
  const { wire, hub, states, old, records } = await connected();
  old.receives(DRAIN);
  await wire.clock.advance(999);
  assert.equal(wire.sockets.length, 1);
  await wire.clock.advance(4001);
  assert.equal(wire.open.length, 2);
  assert.equal(new URL(wire.last.url).searchParams.get("resume"), "resume-1");
  old.receives(event(6));
  const next = await wire.welcome();
  assert.deepEqual(next.lastSent.since, { epoch: "e", offset: 6 });
  old.receives(event(7)); // behind the position that was asked for
  assert.equal(old.readyState, 1);
  answer(next, [{ channel: "job:1", epoch: "e", offset: 8, recovered: true, missed: 2 }]);
  assert.equal(old.readyState, 3);
  old.receives(event(8));
  for (const offset of [7, 8, 9]) next.receives(event(offset));
  assert.deepEqual(records[0].offsets, [6, 7, 8, 9]);
  assert.deepEqual(states, ["connecting", "connected"]);
  assert.deepEqual(hub.state, { name: "connected", connection: "c_2", user: "ann" });
});

test("with several channels each goes over by itself", async () => {
  const { old, wire, records } = await connected(["job:1", "job:2"]);
  old.receives(DRAIN);
  await wire.clock.advance(5000);
  const next = await wire.welcome();
  answer(next, [
    { channel: "job:1", epoch: "e", offset: 5, recovered: true, missed: 0 },
    { channel: "job:2", code: "rate_limited", reason: "slowly", retry: true, retry_after_ms: 1000 },
  ]);
  // nothing is awaited any more: the refused one resumes later from its position
  assert.equal(old.readyState, 3);
  next.receives(event(6));
  await wire.clock.advance(5000);
  assert.deepEqual(next.lastSent.since, { epoch: "e", offset: 5 });
  assert.equal(next.lastSent.channel, "job:2");
  assert.deepEqual(records[0].offsets, [6]);
});

test("without subscriptions the old socket goes at once", async () => {
  const wire = new Wire();
  new Hub("wss://hub.test/ws", { env: wire.env });
  const first = await wire.welcome();
  first.receives(DRAIN);
  await wire.clock.advance(5000);
  await wire.welcome();
  assert.equal(first.readyState, 3);
  assert.equal(wire.open.length, 1);
});

test("a second socket lives 10 s at most: a new one that is never welcomed", async () => {
  const { old, wire, hub } = await connected();
  old.receives(DRAIN);
  await wire.clock.advance(5000);
  const second = wire.last;
  second.opens();
  await wire.clock.advance(10_000);
  assert.equal(second.readyState, 3);
  assert.equal(old.readyState, 1);
  assert.equal(hub.state.name, "connected");
  await wire.clock.advance(4000);
  assert.equal(wire.sockets.length, 3); // there is time to try again
});

test("a second socket lives 10 s at most: a new one that never answers the subscribe", async () => {
  const { old, wire, hub } = await connected();
  old.receives(DRAIN);
  await wire.clock.advance(5000);
  const opened = wire.clock.time;
  const next = await wire.welcome();
  while (old.readyState === 1 && wire.clock.time - opened < 20_000) await wire.clock.advance(100);
  assert.ok(wire.clock.time - opened <= 10_000, `${wire.clock.time - opened} ms`);
  assert.equal(next.readyState, 1);
  assert.equal(hub.state.name, "connected");
});

test("refused during the hand-over: the old one goes on, and its close is an ordinary one", async () => {
  const { old, wire, hub } = await connected();
  old.receives(DRAIN);
  await wire.clock.advance(5000);
  wire.last.opens();
  wire.last.receives({ type: "hub.close", code: 4403, reason: "no", reconnect: null });
  assert.equal(hub.state.name, "connected");
  old.receives({ type: "hub.close", code: 4100, reason: "draining", reconnect: { min_ms: 100, max_ms: 200 } });
  assert.equal(hub.state.name, "reconnecting");
  assert.ok(hub.state.inMs <= 200);
});

test("the old one dies while the new one is made: that one becomes the reconnect", async () => {
  const { old, wire, states, records } = await connected();
  old.receives(DRAIN);
  await wire.clock.advance(5000);
  old.closes(1006);
  assert.equal(wire.sockets.length, 2);
  const next = await wire.welcome();
  assert.deepEqual(states, ["connecting", "connected", "connecting", "connected"]);
  answer(next, [{ channel: "job:1", epoch: "e", offset: 6, recovered: true, missed: 1 }]);
  next.receives(event(6));
  assert.deepEqual(records[0].offsets, [6]);
  assert.equal(wire.sockets.length, 2);
});

test("the new one dies after the welcome: both go, and all is resumed", async () => {
  const { old, wire, hub } = await connected();
  old.receives(DRAIN);
  await wire.clock.advance(5000);
  const next = await wire.welcome();
  old.receives(event(6));
  next.closes(1006);
  assert.equal(hub.state.name, "reconnecting");
  assert.equal(wire.open.length, 0);
  await wire.clock.advance(hub.state.inMs);
  const third = await wire.welcome();
  assert.deepEqual(third.lastSent.since, { epoch: "e", offset: 6 });
});

test("a drain without a second chance: closed with 4100 inside its window", async () => {
  const { old, wire, hub } = await connected();
  old.receives({ type: "hub.close", code: 4100, reason: "draining", reconnect: { min_ms: 2000, max_ms: 3000 } });
  assert.ok(hub.state.inMs >= 2000 && hub.state.inMs <= 3000);
  await wire.clock.advance(hub.state.inMs);
  await wire.welcome();
  assert.equal(hub.state.name, "connected");
});

test("a cut between the drain and its window is an ordinary reconnect, and the window is forgotten", async () => {
  const { old, wire, hub } = await connected();
  old.receives(DRAIN);
  old.closes(1006);
  await wire.clock.advance(hub.state.inMs);
  await wire.welcome();
  await wire.clock.advance(7000);
  assert.equal(wire.sockets.length, 2);
});

test("requests in flight are answered once, whichever socket answers", async () => {
  const { old, wire, hub } = await connected();
  const published = hub.publish("doc:7", "cursor", { x: 1 }, { eventId: "e_mine" });
  await settle();
  old.receives(DRAIN);
  await wire.clock.advance(5000);
  const next = await wire.welcome();
  const [again] = next.of("publish");
  assert.equal(again.event_id, "e_mine");
  assert.equal(again.id, old.of("publish")[0].id);
  next.receives({ type: "hub.published", id: again.id, channel: "doc:7", epoch: "e", offset: 1, event_id: "e_mine" });
  assert.equal((await published).offset, 1);
});

test("what the old one brought is not counted as merged by the new one", async () => {
  const { old, wire, hub } = await connected();
  const merged = [];
  hub.subscribe("job:2", { onEvent: ({ offset, conflated = 0 }) => merged.push([offset, conflated]) });
  await settle();
  answer(old, [{ channel: "job:2", epoch: "e", offset: 0 }]);
  old.receives(DRAIN);
  await wire.clock.advance(5000);
  const next = await wire.welcome();
  old.receives(event(1, { channel: "job:2" }));
  answer(next, [
    { channel: "job:1", epoch: "e", offset: 5, recovered: true, missed: 0 },
    { channel: "job:2", epoch: "e", offset: 0, recovered: true, missed: 0 },
  ]);
  next.receives(event(4, { channel: "job:2", conflated: 3 }));
  assert.deepEqual(merged, [[1, 0], [4, 2]]);
});

test("ephemeral channels are not doubled while two sockets stand", async () => {
  const { old, wire, hub } = await connected();
  const { log, options } = recorder();
  hub.subscribe("cursor:1", options);
  await settle();
  answer(old, [{ channel: "cursor:1" }]);
  const cursor = (id) => ({ type: "moved", channel: "cursor:1", id, time: 1, payload: null });
  old.receives(DRAIN);
  await wire.clock.advance(5000);
  old.receives(cursor("a"));
  const next = await wire.welcome();
  old.receives(cursor("b")); // it may come from the new one as well
  answer(next, [{ channel: "job:1", epoch: "e", offset: 5, recovered: true, missed: 0 }, { channel: "cursor:1" }]);
  next.receives(cursor("b"));
  old.receives(cursor("b"));
  assert.deepEqual(log, [["event", "a", 0], ["event", "b", 0]]);
});
