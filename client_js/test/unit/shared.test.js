import assert from "node:assert/strict";
import { test } from "node:test";
import { HubError } from "../../src/index.js";
import { recorder } from "../support/log.js";
import { Wire } from "../support/sockets.js";
import { Browser } from "../support/tabs.js";
import { Hub } from "../../src/index.js";
import { settle } from "../support/clock.js";

const CHANNEL = "job:1";
const event = (offset, more = {}) => ({ type: "moved", channel: CHANNEL, offset, id: `e_${offset}`, time: 1, payload: offset, ...more });
const at = (offset) => ({ epoch: "e", offset });
const answer = (socket, fields) => socket.receives({ type: "hub.subscribed", id: socket.of("subscribe").at(-1).id, channel: CHANNEL, ...fields });

/** Two tabs that show the same channel over one socket. */
async function pair() {
  const browser = new Browser();
  const { wire } = browser;
  const tabs = [browser.tab(), browser.tab()];
  const records = tabs.map(() => recorder());
  const subs = tabs.map(({ hub }, index) => hub.subscribe(CHANNEL, records[index].options));
  await browser.quiet();
  const socket = await wire.welcome();
  await browser.quiet();
  while (socket.of("subscribe").length > (socket.answered ?? 0)) {
    socket.answered = (socket.answered ?? 0) + 1;
    answer(socket, at(5));
    await browser.quiet();
  }
  return { browser, wire, tabs, records, subs, socket };
}

test("two tabs, one socket: both connected, both live, events travel to both", async () => {
  const { browser, wire, tabs, records, subs, socket } = await pair();
  assert.equal(wire.sockets.length, 1);
  assert.deepEqual(tabs.map(({ hub }) => hub.state.name), ["connected", "connected"]);
  for (const { states } of tabs) assert.deepEqual(states, ["connecting", "connected"]);
  for (const offset of [6, 7]) socket.receives(event(offset));
  await browser.quiet();
  assert.deepEqual(records.map(({ offsets }) => offsets), [[6, 7], [6, 7]]);
  assert.deepEqual(subs.map(({ position }) => position), [at(7), at(7)]);
});

for (const how of ["closes", "crashes"]) {
  test(`the leader ${how}: the other takes over from its position, nothing lost or doubled`, async () => {
    const { browser, wire, tabs, records, socket } = await pair();
    socket.receives(event(6));
    await browser.quiet();
    if (how === "closes") tabs[0].hub.close();
    else browser.crash(tabs[0]);
    await browser.quiet();
    assert.equal(wire.open.length, 1);
    const next = await wire.welcome();
    await browser.quiet();
    assert.deepEqual(next.lastSent.since, at(6));
    answer(next, { ...at(8), recovered: true, missed: 2 });
    for (const offset of [7, 8, 9]) next.receives(event(offset));
    await browser.quiet();
    assert.deepEqual(records[1].offsets, [6, 7, 8, 9]);
    assert.equal(tabs[1].hub.state.name, "connected");
    assert.deepEqual(tabs[1].errors, []);
  });
}

test("what was published and not answered when the leader crashed is sent again, with its event_id", async () => {
  const { browser, wire, tabs, socket } = await pair();
  const published = tabs[1].hub.publish("doc:7", "n", 1, { eventId: "e_mine" });
  await browser.quiet();
  assert.equal(socket.lastSent.event_id, "e_mine");
  browser.crash(tabs[0]);
  await browser.quiet();
  const next = await wire.welcome();
  await browser.quiet();
  const [again] = next.of("publish");
  assert.equal(again.event_id, "e_mine");
  next.receives({ type: "hub.published", id: again.id, channel: "doc:7", epoch: "e", offset: 1, event_id: "e_mine" });
  assert.equal((await published).offset, 1);
});

test("what waits while nobody is connected goes once", async () => {
  const browser = new Browser();
  const tabs = [browser.tab(), browser.tab()];
  await browser.quiet();
  const published = tabs.map(({ hub }, n) => hub.publish("doc:7", "n", n));
  await browser.quiet();
  const socket = await browser.wire.welcome();
  await browser.quiet();
  const commands = socket.of("publish");
  assert.deepEqual(commands.map(({ payload }) => payload).sort(), [0, 1]);
  for (const { id, payload } of commands) socket.receives({ type: "hub.published", id, channel: "doc:7", epoch: "e", offset: payload + 1 });
  assert.deepEqual((await Promise.all(published)).map(({ offset }) => offset), [1, 2]);
});

test("a tab that is gone no longer holds its channels", async () => {
  const { browser, tabs, subs, socket } = await pair();
  browser.crash(tabs[1]);
  await browser.quiet();
  assert.equal(socket.of("unsubscribe").length, 0);
  subs[0].unsubscribe();
  await browser.quiet();
  assert.deepEqual(socket.of("unsubscribe").map(({ channel }) => channel), [CHANNEL]);
});

test("a later tab begins with the snapshot, the first loses nothing", async () => {
  const { browser, records, socket } = await pair();
  socket.receives(event(6));
  const third = browser.tab();
  const { log, options } = recorder();
  third.hub.subscribe(CHANNEL, options);
  await browser.quiet();
  answer(socket, { ...at(8), snapshot: [event(8)] });
  await browser.quiet();
  assert.deepEqual(socket.lastSent.since, at(6));
  answer(socket, { ...at(8), recovered: true, missed: 2 });
  for (const offset of [7, 8, 9]) socket.receives(event(offset));
  await browser.quiet();
  assert.deepEqual(records[0].offsets, [6, 7, 8, 9]);
  assert.deepEqual(records[1].offsets, [6, 7, 8, 9]);
  assert.deepEqual(log, [["snapshot", [8], 8], ["event", 9, 0]]);
});

test("errors keep their code on the way to another tab, of a subscription and of a request", async () => {
  const { browser, tabs, socket } = await pair();
  const refused = tabs[1].hub.subscribe("nowhere:1");
  const request = tabs[1].hub.history("nowhere:1");
  const rejected = assert.rejects(request, (error) => error instanceof HubError && error.code === "rate_limited" && error.retryAfterMs === 70);
  await browser.quiet();
  const [command] = socket.of("subscribe").slice(-1);
  socket.receives({ type: "hub.error", id: command.id, code: "forbidden", reason: "no grant", channel: "nowhere:1", retry: false });
  socket.receives({ type: "hub.error", id: socket.of("history")[0].id, code: "rate_limited", reason: "slowly", retry: true, retry_after_ms: 70 });
  await browser.quiet();
  await rejected;
  assert.equal(refused.state.name, "ended");
  assert.ok(refused.state.error instanceof HubError);
  assert.deepEqual([refused.state.error.code, refused.state.error.message], ["forbidden", "no grant"]);
});

test("closed by the hub: every tab knows, and any of them can begin again", async () => {
  const { browser, wire, tabs, socket } = await pair();
  const request = tabs[1].hub.ping();
  const rejected = assert.rejects(request, { code: "closed" });
  await browser.quiet();
  socket.closes(4403, "no more");
  await browser.quiet();
  await rejected;
  for (const { hub } of tabs) assert.deepEqual([hub.state.name, hub.state.why.code], ["closed", 4403]);
  tabs[1].hub.connect();
  await browser.quiet();
  const next = await wire.welcome();
  await browser.quiet();
  for (const { hub } of tabs) assert.equal(hub.state.name, "connected");
  assert.deepEqual(next.lastSent.since, at(5));
});

test("channels of the token reach every tab, and resume after a take-over", async () => {
  const { browser, wire, tabs, socket } = await pair();
  const seen = tabs.map(({ hub }) => {
    const offsets = [];
    hub.on("event", ({ offset }) => offsets.push(offset));
    return offsets;
  });
  const mine = { channel: "user:ann" };
  socket.receives({ type: "hub.subscribed", ...mine, ...at(5) });
  await browser.quiet();
  answer(socket, { ...mine, ...at(5), recovered: true, missed: 0 });
  socket.receives({ ...event(6), ...mine });
  await browser.quiet();
  assert.deepEqual(seen, [[6], [6]]);
  browser.crash(tabs[0]);
  await browser.quiet();
  const next = await wire.welcome();
  await browser.quiet();
  const since = next.of("subscribe").flatMap(({ channels, ...one }) => channels ?? [one]).find(({ channel }) => channel === "user:ann")?.since;
  assert.deepEqual(since, at(6));
});

test("closing one tab leaves the other's socket alone", async () => {
  const { browser, wire, tabs, records, socket } = await pair();
  tabs[1].hub.close();
  await browser.quiet();
  assert.equal(socket.readyState, 1);
  socket.receives(event(6));
  await browser.quiet();
  assert.deepEqual(records.map(({ offsets }) => offsets), [[6], []]);
  assert.equal(wire.sockets.length, 1);
  assert.equal(tabs[1].hub.state.name, "closed");
  tabs[1].hub.connect();
  await browser.quiet();
  assert.equal(tabs[1].hub.state.name, "connected");
  assert.equal(wire.sockets.length, 1);
});

test("a tab that closes goes through no other state, and hears nothing more", async () => {
  const { browser, tabs, records, socket } = await pair();
  const sub = tabs[0].hub.subscribe("job:2", { onEvent: () => tabs[0].hub.close() });
  await browser.quiet();
  socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, channel: "job:2", ...at(0) });
  await browser.quiet();
  for (const offset of [1, 2]) socket.receives(event(offset, { channel: "job:2" }));
  socket.receives(event(6));
  await browser.quiet();
  assert.deepEqual(tabs[0].states, ["connecting", "connected", "closed"]);
  assert.equal(sub.position.offset, 1);
  assert.deepEqual(records[0].offsets, []);
});

test("a leader whose timers are late is woken by the tab that is looked at", async () => {
  const { browser, wire, tabs, socket } = await pair();
  tabs[0].hidden = true; // none of its timers runs
  socket.closes(1006);
  await browser.quiet();
  const { inMs } = tabs[1].hub.state;
  const before = wire.sockets.length;
  await wire.clock.advance(inMs + 999);
  assert.equal(wire.sockets.length, before);
  await wire.clock.advance(1);
  await browser.quiet();
  assert.equal(wire.sockets.length, before + 1);
});

test("a leader that shows a dialog: its place is taken within 4 s, nothing lost or doubled, and it follows when it goes on", async () => {
  const { browser, wire, tabs, records, subs, socket } = await pair();
  socket.receives(event(6));
  await browser.quiet();
  tabs[0].freeze();
  await wire.clock.advance(4000);
  assert.equal(wire.sockets.length, 2);
  const next = await wire.welcome();
  await browser.quiet();
  assert.deepEqual(next.lastSent.since, at(6));
  answer(next, { ...at(8), recovered: true, missed: 2 });
  for (const offset of [7, 8]) next.receives(event(offset));
  await browser.quiet();
  assert.deepEqual(records[1].offsets, [6, 7, 8]);
  tabs[0].thaw();
  await browser.quiet();
  assert.equal(socket.readyState, 3);
  assert.equal(wire.open.length, 1);
  assert.deepEqual(next.lastSent.since, at(6));
  answer(next, { ...at(8), recovered: true, missed: 2 });
  for (const offset of [7, 8, 9]) next.receives(event(offset));
  await browser.quiet();
  assert.deepEqual(records.map(({ offsets }) => offsets), [[6, 7, 8, 9], [6, 7, 8, 9]]);
  assert.deepEqual(tabs.map(({ hub }) => hub.state.name), ["connected", "connected"]);
  assert.deepEqual(subs.map(({ position }) => position), [at(9), at(9)]);
  assert.deepEqual(tabs.flatMap(({ errors }) => errors), []);
  // and the thief may lose it again
  browser.crash(tabs[1]);
  await browser.quiet();
  assert.equal((await wire.welcome()).lastSent?.since?.offset, 9);
});

test("a leader that answers is left alone, however quiet its channels are", async () => {
  const { wire } = await pair();
  await wire.clock.advance(20_000);
  assert.equal(wire.sockets.length, 1);
});

test("a follower that was frozen itself takes nothing from a leader that was not", async () => {
  const { browser, wire, tabs } = await pair();
  tabs[1].freeze();
  await wire.clock.advance(10_000);
  wire.clock.sleep(10_000);
  tabs[1].thaw();
  await wire.clock.advance(5000);
  await browser.quiet();
  assert.equal(wire.sockets.length, 1);
});

test("a leader whose page is put aside hands over at once, and follows when it is shown again", async () => {
  const { browser, wire, tabs, records, socket } = await pair();
  tabs[0].page("aside");
  await browser.quiet();
  assert.equal(socket.readyState, 3);
  const next = await wire.welcome();
  await browser.quiet();
  answer(next, { ...at(6), recovered: true, missed: 1 });
  next.receives(event(6));
  await browser.quiet();
  assert.deepEqual(records.map(({ offsets }) => offsets), [[], [6]]);
  tabs[0].page("wake");
  await browser.quiet();
  answer(next, { ...at(6), recovered: true, missed: 1 });
  for (const offset of [6, 7]) next.receives(event(offset));
  await browser.quiet();
  assert.deepEqual(records.map(({ offsets }) => offsets), [[6, 7], [6, 7]]);
  assert.deepEqual(tabs[0].states, ["connecting", "connected", "connecting", "connected"]);
  tabs[0].hub.close();
  assert.equal(tabs[0].hub.state.name, "closed");
});

test("cursors go through the leader without an answer", async () => {
  const { browser, tabs, socket } = await pair();
  await tabs[1].hub.publish("cursor:1", "moved", 1, { ack: false });
  await browser.quiet();
  assert.deepEqual(socket.lastSent, { type: "publish", channel: "cursor:1", event: "moved", payload: 1 });
});

test("where tabs cannot find each other each has a socket of its own", async () => {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: { ...wire.env, locks: undefined }, shared: true });
  await settle();
  await wire.welcome();
  assert.equal(hub.state.name, "connected");
});
