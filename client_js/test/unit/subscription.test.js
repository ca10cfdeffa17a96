import assert from "node:assert/strict";
import { test } from "node:test";
import { Hub } from "../../src/index.js";
import { settle } from "../support/clock.js";
import { recorder } from "../support/log.js";
import { Wire } from "../support/sockets.js";

const CHANNEL = "job:1";
const event = (offset, more = {}) => ({ type: "moved", channel: CHANNEL, offset, id: `e_${offset}`, time: 1, payload: offset, ...more });
const at = (offset, epoch = "e") => ({ epoch, offset });

async function subscribed(options = {}, reply = { ...at(5) }) {
  const wire = new Wire();
  const errors = [];
  const hub = new Hub("wss://hub.test/ws", { env: wire.env });
  hub.on("error", (error) => errors.push(error));
  const record = recorder();
  const states = [];
  const sub = hub.subscribe(CHANNEL, { ...record.options, onState: (state) => states.push(state), ...options });
  const socket = await wire.welcome();
  const say = (message) => socket.receives({ channel: CHANNEL, ...message });
  if (reply) say({ type: "hub.subscribed", id: socket.lastSent.id, ...reply });
  return { wire, hub, sub, socket, say, record, log: record.log, states, errors };
}

test("live from the offset of the answer; older ones are dropped, the position follows", async () => {
  const { sub, socket, record, states } = await subscribed();
  assert.deepEqual(socket.lastSent, { type: "subscribe", id: 1, channel: CHANNEL });
  assert.deepEqual(states, [{ name: "live" }]);
  for (const offset of [5, 6, 6, 7]) socket.receives(event(offset));
  assert.deepEqual(record.offsets, [6, 7]);
  assert.deepEqual(sub.position, at(7));
});

test("events before the answer are of an older subscription and dropped", async () => {
  const { socket, record, say } = await subscribed({}, null);
  socket.receives(event(5));
  say({ type: "hub.subscribed", id: 1, ...at(5) });
  socket.receives(event(6));
  assert.deepEqual(record.offsets, [6]);
});

test("since: a stored position resumes", async () => {
  const { socket, record, sub } = await subscribed({ since: at(3) }, { ...at(5), recovered: true, missed: 2 });
  assert.deepEqual(socket.lastSent.since, at(3));
  for (const offset of [4, 5, 6]) socket.receives(event(offset));
  assert.deepEqual(record.offsets, [4, 5, 6]);
  assert.deepEqual(JSON.parse(JSON.stringify(sub.position)), at(6));
});

test("since that is no position is refused at once", async () => {
  const { hub } = await subscribed();
  for (const since of ["e:3", { epoch: "e" }, { epoch: 1, offset: 1 }, { epoch: "e", offset: -1 }, { epoch: "e", offset: 1.5 }]) {
    assert.throws(() => hub.subscribe("job:2", { since }), /since must be a position/);
  }
});

test("a gap is told with its range and cause, and the stream goes on behind it", async () => {
  const { socket, log, sub } = await subscribed({ since: at(3) }, { ...at(9), recovered: false, gap: { from: 4, to: 9, cause: "too_far" } });
  socket.receives(event(10));
  assert.deepEqual(log, [["gap", 4, 9, "too_far"], ["event", 10, 0]]);
  assert.deepEqual(sub.position, at(10));
});

test("another epoch: the gap is of the new numbering, positions of the old one mean nothing", async () => {
  const { socket, log, sub } = await subscribed({ since: at(90, "old") }, { ...at(2, "new"), recovered: false, gap: { from: 1, to: 2, cause: "epoch" } });
  socket.receives(event(3));
  assert.deepEqual(log, [["gap", 1, 2, "epoch"], ["event", 3, 0]]);
  assert.deepEqual(sub.position, at(3, "new"));
});

test("a position beyond the top of its own epoch starts anew", async () => {
  const { socket, log } = await subscribed({ since: at(90) }, { ...at(2), recovered: false, gap: { from: 1, to: 2, cause: "epoch" } });
  socket.receives(event(3));
  assert.deepEqual(log, [["gap", 1, 2, "epoch"], ["event", 3, 0]]);
});

test("a position of the epoch before the fork is good: only the name changes", async () => {
  const { socket, record, sub } = await subscribed({ since: at(3, "old") }, { ...at(5, "new"), recovered: true, missed: 2 });
  for (const offset of [4, 5]) socket.receives(event(offset));
  assert.deepEqual(record.offsets, [4, 5]);
  assert.deepEqual(sub.position, at(5, "new"));
});

test("a snapshot comes before the events, consistent at its offset", async () => {
  const { socket, log, sub } = await subscribed({}, { ...at(5), snapshot: [event(2), event(5)] });
  socket.receives(event(6));
  assert.deepEqual(log, [["snapshot", [2, 5], 5], ["event", 6, 0]]);
  assert.deepEqual(sub.position, at(6));
});

test("a gap on a state channel brings the snapshot too", async () => {
  const reply = { ...at(9), recovered: false, gap: { from: 4, to: 9, cause: "trimmed" }, snapshot: [event(9)] };
  const { log } = await subscribed({ since: at(3) }, reply);
  assert.deepEqual(log, [["gap", 4, 9, "trimmed"], ["snapshot", [9], 9]]);
});

test("a snapshot in pages is whole or nothing", async () => {
  const { socket, say, log, sub } = await subscribed({}, { ...at(5), snapshot: [], more: true });
  say({ type: "hub.snapshot", events: [event(1)], more: true });
  assert.equal(sub.position, null);
  assert.equal(sub.state.name, "waiting");
  say({ type: "hub.snapshot", events: [event(5)], more: false });
  socket.receives(event(6));
  assert.deepEqual(log, [["snapshot", [1, 5], 5], ["event", 6, 0]]);
  assert.equal(sub.state.name, "live");
});

for (const pages of [[], [{ type: "hub.snapshot", events: [event(1)], more: true }]]) {
  test(`cut off after ${pages.length} pages: from the start again`, async () => {
    const { socket, say, log, wire } = await subscribed({}, { ...at(5), snapshot: [], more: true });
    for (const page of pages) say(page);
    socket.closes(1006);
    await wire.clock.advance(2000);
    const next = await wire.welcome();
    assert.equal(next.lastSent.since, undefined);
    next.receives({ type: "hub.subscribed", id: next.lastSent.id, channel: CHANNEL, ...at(7), snapshot: [event(7)] });
    assert.deepEqual(log, [["snapshot", [7], 7]]);
  });
}

test("pages that nothing announced are ignored", async () => {
  const { say, log } = await subscribed();
  say({ type: "hub.snapshot", events: [event(1)], more: false });
  assert.deepEqual(log, []);
});

test("pages that stop coming are asked for again", async () => {
  const { socket, say, wire } = await subscribed({}, { ...at(5), snapshot: [], more: true });
  say({ type: "hub.snapshot", events: [event(1)], more: true });
  await wire.clock.advance(10_000);
  assert.equal(socket.of("subscribe").length, 2);
});

test("conflated explains a jump, one that is not explained is asked for", async () => {
  const { socket, log, wire } = await subscribed();
  socket.receives(event(9, { conflated: 3 }));
  socket.receives(event(12));
  assert.deepEqual(log, [["event", 9, 3]]);
  await wire.clock.advance(2000);
  assert.deepEqual(socket.lastSent, { type: "subscribe", id: 2, channel: CHANNEL, since: at(9) });
  socket.receives(event(13)); // still the old stream
  socket.receives({ type: "hub.subscribed", id: 2, channel: CHANNEL, ...at(12), recovered: true, missed: 3 });
  for (const offset of [10, 11, 12, 13]) socket.receives(event(offset));
  assert.deepEqual(log.slice(1).map(([, offset]) => offset), [10, 11, 12, 13]);
});

test("a stream that keeps its hole is asked again more and more slowly", async () => {
  const { socket, wire } = await subscribed({}, at(0));
  for (let second = 0; second < 120; second++) {
    socket.receives(event(50));
    const commands = socket.of("subscribe");
    const { id } = commands.at(-1);
    if (id !== socket.answered) socket.receives({ type: "hub.subscribed", id, channel: CHANNEL, ...at(50), recovered: true, missed: 50 });
    socket.answered = id;
    socket.receives({ type: "hub.x" });
    await wire.clock.advance(1000);
  }
  const count = socket.of("subscribe").length;
  assert.ok(count > 3 && count < 30, `${count} commands in two minutes`);
});

test("hub.gap: told where nothing follows, silent where it is filled", async () => {
  const { socket, say, log, sub } = await subscribed();
  say({ type: "hub.gap", from: 6, to: 8, cause: "backplane", filled: true });
  for (const offset of [6, 7, 8]) socket.receives(event(offset));
  say({ type: "hub.gap", from: 8, to: 11, cause: "backplane", filled: false });
  assert.deepEqual(sub.position, at(11));
  socket.receives(event(12));
  say({ type: "hub.gap", from: 3, to: 12, cause: "backplane", filled: false }); // known already
  assert.deepEqual(log, [["event", 6, 0], ["event", 7, 0], ["event", 8, 0], ["gap", 9, 11, "backplane"], ["event", 12, 0]]);
});

test("hub.resubscribe: live at another place, nothing is sent", async () => {
  const { socket, say, log, sub } = await subscribed();
  say({ type: "hub.resubscribe", ...at(5, "renamed"), gap: null });
  socket.receives(event(6));
  assert.deepEqual(sub.position, at(6, "renamed"));
  say({ type: "hub.resubscribe", ...at(3, "new"), gap: { from: 1, to: 3, cause: "epoch" }, snapshot: [event(3)] });
  socket.receives(event(4));
  assert.deepEqual(log, [["event", 6, 0], ["gap", 1, 3, "epoch"], ["snapshot", [3], 3], ["event", 4, 0]]);
  assert.deepEqual(sub.position, at(4, "new"));
  say({ type: "hub.resubscribe", ...at(9, "new"), gap: { from: 3, to: 9, cause: "trimmed" } });
  assert.deepEqual(log.at(-1), ["gap", 5, 9, "trimmed"]);
  assert.equal(socket.sent.length, 1);
});

test("hub.resubscribe with a snapshot in pages", async () => {
  const { socket, say, log } = await subscribed();
  say({ type: "hub.resubscribe", ...at(3, "new"), gap: { from: 1, to: 3, cause: "epoch" }, snapshot: [], more: true });
  say({ type: "hub.snapshot", events: [event(1)], more: true });
  say({ type: "hub.snapshot", events: [event(3)], more: false });
  socket.receives(event(4));
  assert.deepEqual(log, [["gap", 1, 3, "epoch"], ["snapshot", [1, 3], 3], ["event", 4, 0]]);
});

for (const more of [true, false]) {
  test(`hub.resubscribe among the pages of a snapshot takes their place, ${more ? "with pages" : "whole"}`, async () => {
    const { socket, say, log, sub } = await subscribed({}, { ...at(5), snapshot: [], more: true });
    say({ type: "hub.snapshot", events: [event(1)], more: true });
    const gap = { from: 6, to: 8, cause: "trimmed" };
    say({ type: "hub.resubscribe", ...at(8), gap, snapshot: more ? [] : [event(2), event(8)], ...(more && { more }) });
    if (more) {
      say({ type: "hub.snapshot", events: [event(2)], more: true });
      say({ type: "hub.snapshot", events: [event(8)], more: false });
    }
    socket.receives(event(9));
    assert.deepEqual(log, [["snapshot", [2, 8], 8], ["event", 9, 0]]);
    assert.equal(sub.state.name, "live");
    assert.equal(socket.sent.length, 1);
  });
}

test("hub.resubscribe while a command is under way: the answer decides", async () => {
  const { hub, socket, say, log } = await subscribed();
  const other = recorder();
  hub.subscribe(CHANNEL, { ...other.options, since: at(2) });
  await settle();
  const { id } = socket.lastSent;
  say({ type: "hub.resubscribe", ...at(3, "new"), gap: { from: 1, to: 3, cause: "epoch" } });
  socket.receives(event(6)); // of the new numbering: must not look like the next of the old one
  say({ type: "hub.subscribed", id, ...at(6, "new"), recovered: false, gap: { from: 1, to: 6, cause: "epoch" } });
  await settle();
  assert.deepEqual(other.log, [["gap", 1, 6, "epoch"]]);
  assert.deepEqual(socket.lastSent.since, at(5));
  say({ type: "hub.subscribed", id: socket.lastSent.id, ...at(6, "new"), recovered: false, gap: { from: 1, to: 6, cause: "epoch" } });
  socket.receives(event(7));
  assert.deepEqual(log, [["gap", 1, 6, "epoch"], ["event", 7, 0]]);
  assert.deepEqual(other.log, [["gap", 1, 6, "epoch"], ["event", 7, 0]]);
});

test("a refusal ends it with a typed error, a passing one is tried again not too early", async () => {
  const { socket, say, sub, states, wire } = await subscribed({}, null);
  say({ type: "hub.error", id: 1, code: "rate_limited", reason: "slowly", retry: true, retry_after_ms: 5000 });
  await wire.clock.advance(4999);
  assert.equal(socket.of("subscribe").length, 1);
  await wire.clock.advance(2100);
  assert.equal(socket.of("subscribe").length, 2);
  say({ type: "hub.error", id: 2, code: "forbidden", reason: "no grant", retry: false });
  assert.equal(sub.state.name, "ended");
  assert.equal(sub.state.error.code, "forbidden");
  assert.equal(sub.state.error.channel, CHANNEL);
  assert.equal(states.length, 1);
  await wire.clock.advance(20_000);
  assert.equal(socket.of("subscribe").length, 2);
  sub.unsubscribe();
  assert.equal(socket.of("unsubscribe").length, 0);
});

test("each entry of a batch has its own answer", async () => {
  const { hub, socket, sub } = await subscribed({}, null);
  const wire = new Wire();
  const many = new Hub("wss://hub.test/ws", { env: wire.env });
  const subs = [1, 2, 3].map((n) => many.subscribe(`job:${n}`));
  const line = await wire.welcome();
  line.receives({
    type: "hub.subscribed",
    id: line.lastSent.id,
    results: [
      { channel: "job:1", ...at(1) },
      { channel: "job:2", code: "forbidden", reason: "no", retry: false },
      { channel: "job:3", ...at(3) },
    ],
  });
  assert.deepEqual(subs.map(({ state }) => state.name), ["live", "ended", "live"]);
  assert.equal(hub.state.name, "connected");
  assert.equal(sub.state.name, "waiting");
  assert.equal(socket.sent.length, 1);
});

test("an entry of a batch that has no answer is asked for again", async () => {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env });
  const subs = [1, 2].map((n) => hub.subscribe(`job:${n}`));
  const socket = await wire.welcome();
  socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, results: [{ channel: "job:1", ...at(1) }] });
  await wire.clock.advance(2000);
  assert.equal(socket.lastSent.channel, "job:2");
  assert.deepEqual(subs.map(({ state }) => state.name), ["live", "waiting"]);
});

test("more channels than a connection may ask for at once go in several commands", async () => {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env });
  for (let n = 0; n < 300; n++) hub.subscribe(`job:${n}`);
  const socket = await wire.welcome();
  assert.deepEqual(socket.of("subscribe").map(({ channels }) => channels.length), [128, 128, 44]);
});

test("an answer that does not come is asked for again, and the late one is not heard", async () => {
  const { socket, say, sub, wire } = await subscribed({}, null);
  await wire.clock.advance(10_000 + 2000);
  assert.equal(socket.of("subscribe").length, 2);
  say({ type: "hub.subscribed", id: 1, ...at(4) });
  assert.equal(sub.state.name, "waiting");
  say({ type: "hub.subscribed", id: 2, ...at(5) });
  assert.deepEqual(sub.position, at(5));
});

test("unsubscribe, and again: the late events and answers of the first are not the second's", async () => {
  const { hub, socket, say, sub, log, states } = await subscribed();
  sub.unsubscribe();
  sub.unsubscribe();
  assert.equal(socket.of("unsubscribe").length, 1);
  assert.deepEqual(states.at(-1), { name: "ended", error: undefined });
  const second = recorder();
  const again = hub.subscribe(CHANNEL, second.options);
  await settle();
  const { id } = socket.lastSent;
  socket.receives(event(6));
  say({ type: "hub.unsubscribed", id: socket.of("unsubscribe")[0].id });
  say({ type: "hub.subscribed", id, ...at(6) });
  socket.receives(event(7));
  assert.deepEqual(log, []);
  assert.deepEqual(second.offsets, [7]);
  assert.equal(again.state.name, "live");
});

test("unsubscribing inside a callback stops the rest of that one only", async () => {
  const { hub, socket, sub, log } = await subscribed();
  sub.on("event", () => sub.unsubscribe());
  const other = recorder();
  hub.subscribe(CHANNEL, other.options);
  await settle();
  socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, channel: CHANNEL, ...at(5) });
  for (const offset of [6, 7]) socket.receives(event(offset));
  assert.deepEqual(log.map(([, offset]) => offset), [6]);
  assert.deepEqual(other.offsets, [6, 7]);
});

test("a right that ended ends the subscription, and no reconnect revives it", async () => {
  const { say, sub, socket, wire } = await subscribed();
  say({ type: "hub.unsubscribed", reason: "the new token does not grant it" });
  assert.equal(sub.state.name, "ended");
  assert.match(sub.state.error.message, /does not grant/);
  socket.closes(1006);
  await wire.clock.advance(2000);
  const next = await wire.welcome();
  assert.deepEqual(next.sent, []);
});

test("several listeners of one channel share the wire, each with its own position", async () => {
  const { hub, socket, say, log } = await subscribed({}, { ...at(5), snapshot: [event(5)] });
  socket.receives(event(6));
  // a second one wants the snapshot; what the first lacks is asked for behind it
  const second = recorder();
  hub.subscribe(CHANNEL, second.options);
  await settle();
  assert.equal(socket.lastSent.since, undefined);
  say({ type: "hub.subscribed", id: socket.lastSent.id, ...at(8), snapshot: [event(8)] });
  await settle();
  assert.deepEqual(socket.lastSent.since, at(6));
  say({ type: "hub.subscribed", id: socket.lastSent.id, ...at(8), recovered: true, missed: 2 });
  for (const offset of [7, 8, 9]) socket.receives(event(offset));
  assert.deepEqual(log, [["snapshot", [5], 5], ["event", 6, 0], ["event", 7, 0], ["event", 8, 0], ["event", 9, 0]]);
  assert.deepEqual(second.log, [["snapshot", [8], 8], ["event", 9, 0]]);
  // a third with an older position replays for itself only
  const third = recorder();
  hub.subscribe(CHANNEL, { ...third.options, since: at(7) });
  await settle();
  say({ type: "hub.subscribed", id: socket.lastSent.id, ...at(9), recovered: true, missed: 2 });
  for (const offset of [8, 9, 10]) socket.receives(event(offset));
  assert.deepEqual(third.offsets, [8, 9, 10]);
  assert.equal(log.at(-1)[1], 10);
  assert.equal(second.offsets.length, 2);
});

test("a later listener of a log: one command, and nothing is asked twice for the first", async () => {
  const { hub, socket, say, log, states } = await subscribed();
  socket.receives(event(6));
  const second = recorder();
  const sub = hub.subscribe(CHANNEL, second.options);
  assert.equal(sub.state.name, "waiting"); // nobody is called back before subscribe() has returned
  await settle();
  socket.receives(event(7)); // the first goes on while the second waits
  say({ type: "hub.subscribed", id: socket.lastSent.id, ...at(7) });
  await settle();
  assert.equal(socket.sent.length, 2);
  assert.deepEqual(sub.position, at(7));
  socket.receives(event(8));
  assert.deepEqual(log.map(([, offset]) => offset), [6, 7, 8]);
  assert.deepEqual(second.offsets, [8]);
  assert.deepEqual(states, [{ name: "live" }]);
});

test("listeners of different epochs are brought to one, each told its own gap", async () => {
  const { hub, socket, say, log } = await subscribed({ since: at(3, "old") }, null);
  const second = recorder();
  hub.subscribe(CHANNEL, { ...second.options, since: at(4, "new") });
  say({ type: "hub.subscribed", id: 1, ...at(6, "new"), recovered: false, gap: { from: 1, to: 6, cause: "epoch" } });
  await settle();
  assert.deepEqual(socket.lastSent.since, at(4, "new"));
  say({ type: "hub.subscribed", id: socket.lastSent.id, ...at(6, "new"), recovered: true, missed: 2 });
  for (const offset of [5, 6, 7]) socket.receives(event(offset));
  assert.deepEqual(log, [["gap", 1, 6, "epoch"], ["event", 7, 0]]);
  assert.deepEqual(second.offsets, [5, 6, 7]);
});

test("options: presence, max_rate and echo go with the command, and meet for several listeners", async () => {
  const { hub, socket, say } = await subscribed({ presence: { as: "tab-1" }, maxRate: 5, echo: false }, null);
  assert.deepEqual(socket.lastSent, { type: "subscribe", id: 1, channel: CHANNEL, presence: { as: "tab-1" }, max_rate: 5, echo: false });
  say({ type: "hub.subscribed", id: 1, ...at(5), members: [] });
  hub.subscribe(CHANNEL, { maxRate: 10 });
  await settle();
  assert.deepEqual(socket.lastSent, { type: "subscribe", id: 2, channel: CHANNEL, presence: { as: "tab-1" }, max_rate: 10 });
});

test("ephemeral channels have no position", async () => {
  const { socket, sub, log } = await subscribed({}, {});
  socket.receives({ ...event(1), offset: undefined });
  assert.deepEqual(log, [["event", "e_1", 0]]);
  assert.equal(sub.position, null);
  assert.equal(sub.state.name, "live");
});

test("presence: members, joins, leaves, updates, and lists that replace", async () => {
  const changes = [];
  const ann = { user: "ann", connection: "c_1", info: { name: "Ann" } };
  const bob = { user: "bob", as: "tab-1", connection: "c_2" };
  const onPresence = (members, change) => changes.push([members.map(({ user }) => user), change]);
  const { say, sub } = await subscribed({ presence: true, onPresence }, { ...at(5), members: [ann] });
  assert.deepEqual(sub.members, [ann]);
  say({ type: "hub.join", members: [bob] });
  say({ type: "hub.update", members: [{ ...bob, connection: "c_3", state: { at: 1 } }] });
  assert.deepEqual(sub.members[1].state, { at: 1 });
  say({ type: "hub.leave", members: [ann] });
  say({ type: "hub.presence", members: [ann] });
  assert.deepEqual(changes.map(([users]) => users), [["ann"], ["ann", "bob"], ["ann", "bob"], ["bob"], ["ann"]]);
  assert.deepEqual(changes[1][1], { type: "join", members: [bob] });
  assert.deepEqual(changes[3][1], { type: "leave", members: [ann] });
});

test("one's own presence state is said again after a reconnect", async () => {
  const { sub, socket, wire } = await subscribed({ presence: true }, { ...at(5), members: [] });
  const set = sub.setPresence({ colour: "red" });
  socket.receives({ type: "hub.presence_set", id: socket.lastSent.id, channel: CHANNEL });
  await set;
  socket.closes(1006);
  await wire.clock.advance(2000);
  const next = await wire.welcome();
  next.receives({ type: "hub.subscribed", id: next.lastSent.id, channel: CHANNEL, ...at(5), recovered: true, missed: 0, members: [] });
  assert.equal(next.lastSent.type, "set_presence");
  assert.deepEqual(next.lastSent.state, { colour: "red" });
});

test("unread is derived: replays, own acks and those of other connections never make it drift", async () => {
  const counts = [];
  const { sub, say, socket } = await subscribed(
    { since: at(3), onUnread: (count) => counts.push(count) },
    { ...at(5), recovered: true, missed: 2, unread: 4 },
  );
  assert.equal(sub.unread, 4);
  for (const offset of [4, 5]) socket.receives(event(offset)); // counted already
  assert.equal(sub.unread, 4);
  socket.receives(event(6));
  assert.equal(sub.unread, 5);
  const acked = sub.ack();
  assert.deepEqual(socket.lastSent, { type: "ack", id: 2, channel: CHANNEL, ...at(6) });
  say({ type: "hub.acked", id: 2, ...at(6), unread: 0 });
  assert.equal((await acked).unread, 0);
  assert.equal(sub.unread, 0);
  // another connection acked 5 when the hub had 8 already: 7 and 8 are on their way and counted
  say({ type: "hub.acked", ...at(5), unread: 3 });
  assert.equal(sub.unread, 3);
  for (const offset of [7, 8, 9]) socket.receives(event(offset));
  assert.equal(sub.unread, 4);
  assert.equal(counts.at(-1), 4);
});

test("channels of the token: events without subscribing, resumed like any other", async () => {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env });
  const seen = [];
  hub.on("event", (e, position) => seen.push([e.offset, position.offset]));
  const gaps = [];
  hub.on("gap", (gap, channel) => gaps.push([gap.from, channel]));
  const socket = await wire.welcome();
  const mine = { channel: "user:ann" };
  socket.receives({ type: "hub.subscribed", ...mine, ...at(5) });
  await settle();
  assert.deepEqual(socket.lastSent.since, at(5));
  socket.receives({ ...event(6), ...mine }); // of the hub's own subscription, which is being replaced
  socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, ...mine, ...at(6), recovered: true, missed: 1 });
  socket.receives({ ...event(6), ...mine });
  socket.closes(1006);
  await wire.clock.advance(2000);
  const next = await wire.welcome();
  const { id, since } = next.lastSent;
  assert.deepEqual(since, at(6));
  next.receives({ type: "hub.subscribed", ...mine, ...at(7) });
  next.receives({ type: "hub.subscribed", id, ...mine, ...at(7), recovered: true, missed: 1 });
  next.receives({ ...event(7), ...mine });
  assert.deepEqual(seen, [[6, 6], [7, 7]]);
  next.receives({ type: "hub.gap", ...mine, from: 8, to: 9, cause: "backplane", filled: false });
  assert.deepEqual(gaps, [[8, "user:ann"]]);
  assert.equal(next.sent.length, 1);
});

test("channels of the token: an own subscription replaces the hub's, whichever comes first", async () => {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env });
  const { log, options } = recorder();
  hub.subscribe("user:ann", options);
  const socket = await wire.welcome();
  socket.receives({ type: "hub.subscribed", channel: "user:ann", ...at(5) });
  socket.receives({ ...event(6), channel: "user:ann" });
  socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, channel: "user:ann", ...at(6) });
  socket.receives({ ...event(7), channel: "user:ann" });
  assert.deepEqual(log, [["event", 7, 0]]);
  // a renewed token brings it again: the hub's subscription has replaced ours
  socket.receives({ type: "hub.subscribed", channel: "user:ann", ...at(8) });
  await settle();
  assert.deepEqual(socket.lastSent.since, at(7));
});

test("a channel that the token brings no longer is refused and forgotten", async () => {
  const wire = new Wire();
  new Hub("wss://hub.test/ws", { env: wire.env });
  const socket = await wire.welcome();
  socket.receives({ type: "hub.subscribed", channel: "doc:1", ...at(1) });
  socket.closes(1006);
  await wire.clock.advance(2000);
  const next = await wire.welcome();
  next.receives({ type: "hub.error", id: next.lastSent.id, channel: "doc:1", code: "forbidden", reason: "no", retry: false });
  next.closes(1006);
  await wire.clock.advance(4000);
  await wire.welcome();
  assert.deepEqual(wire.last.sent, []);
});

test("unknown types of the hub are ignored, and events of channels that nobody wants", async () => {
  const { socket, log, errors } = await subscribed();
  socket.receives({ type: "hub.fireworks", id: 1, channel: CHANNEL });
  socket.receives({ type: "hub.fireworks" });
  socket.receives({ ...event(1), channel: "job:other" });
  socket.receives({ type: "greeting" });
  socket.receives(event(6));
  assert.deepEqual(log, [["event", 6, 0]]);
  assert.deepEqual(errors, []);
});

test("a throwing callback stops neither the others nor the stream", async () => {
  const { hub, socket, errors, sub } = await subscribed({ onEvent: () => { throw new Error("draw failed"); } });
  const second = recorder();
  hub.subscribe(CHANNEL, second.options);
  await settle();
  socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, channel: CHANNEL, ...at(5) });
  for (const offset of [6, 7]) socket.receives(event(offset));
  assert.deepEqual(second.offsets, [6, 7]);
  assert.deepEqual(sub.position, at(7));
  assert.deepEqual(errors.map(({ code, cause }) => [code, cause.message]), [["callback", "draw failed"], ["callback", "draw failed"]]);
});

test("hub.resubscribe without a gap in the middle of a replay for another listener: the one ahead asks for itself", async () => {
  const { hub, socket, say, log } = await subscribed();
  for (const offset of [6, 7, 8]) socket.receives(event(offset));
  const other = recorder();
  hub.subscribe(CHANNEL, { ...other.options, since: at(5) });
  await settle();
  say({ type: "hub.subscribed", id: socket.lastSent.id, ...at(8), recovered: true, missed: 3 });
  socket.receives(event(6));
  say({ type: "hub.resubscribe", ...at(6, "renamed"), gap: null }); // the fork may lie at 7, whose event is another then
  socket.receives(event(7));
  await settle();
  assert.deepEqual(socket.lastSent.since, at(8));
  say({ type: "hub.subscribed", id: socket.lastSent.id, ...at(7, "renamed"), recovered: false, gap: { from: 1, to: 7, cause: "epoch" } });
  socket.receives(event(8));
  assert.deepEqual(log.slice(3), [["gap", 1, 7, "epoch"], ["event", 8, 0]]);
  assert.deepEqual(other.offsets, [6, 7, 8]);
});

test("unread begins anew with a new numbering", async () => {
  const { say, sub } = await subscribed({ since: at(90) }, { ...at(90), recovered: true, missed: 0, unread: 5 });
  say({ type: "hub.resubscribe", ...at(2, "new"), gap: { from: 1, to: 2, cause: "epoch" }, unread: 2 });
  assert.equal(sub.unread, 2);
});
