import assert from "node:assert/strict";
import { test } from "node:test";
import { json } from "../../src/codec.js";
import { Hub, HubError } from "../../src/index.js";
import { msgpack } from "../../src/msgpack.js";
import { settle } from "../support/clock.js";
import { Wire } from "../support/sockets.js";

function make(options = {}) {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env, pingAfterMs: 1e9, ...options });
  const errors = [];
  hub.on("error", (error) => errors.push(error));
  return { wire, hub, errors };
}

/** How a promise stands, without waiting for it. */
async function outcome(promise) {
  const pending = Symbol("pending");
  await settle();
  const result = await Promise.race([promise.then((value) => ({ value }), (error) => ({ error })), settle().then(() => pending)]);
  return result === pending ? "pending" : result;
}

test("publish: the contract's fields, an event_id of its own, the answer as it came", async () => {
  const { wire, hub } = make();
  const socket = await wire.welcome();
  const published = hub.publish("doc:7", "cursor", { x: 1 }, { key: "me", final: true, version: [1, 2] });
  await settle();
  const { id, event_id, ...command } = socket.lastSent;
  assert.deepEqual(command, { type: "publish", channel: "doc:7", event: "cursor", payload: { x: 1 }, key: "me", final: true, version: [1, 2] });
  assert.match(event_id, /^e_[0-9a-z]{12,}$/);
  socket.receives({ type: "hub.published", id, channel: "doc:7", epoch: "e", offset: 3, event_id, warnings: ['unknown field "kye"'] });
  assert.deepEqual(await published, { channel: "doc:7", epoch: "e", offset: 3, eventId: event_id, warnings: ['unknown field "kye"'] });
});

test("event ids differ", async () => {
  const { wire, hub } = make();
  const socket = await wire.welcome();
  for (let n = 0; n < 500; n++) hub.publish("doc:7", "x", n).catch(() => {});
  await settle();
  assert.equal(new Set(socket.of("publish").map(({ event_id }) => event_id)).size, 500);
  hub.close();
});

test("queued while disconnected, sent in order behind the subscriptions", async () => {
  const { wire, hub } = make();
  hub.subscribe("doc:7");
  for (const n of [1, 2, 3]) hub.publish("doc:7", "n", n).catch(() => {});
  const socket = await wire.welcome();
  assert.deepEqual(socket.sent.map(({ type, payload }) => [type, payload]), [
    ["subscribe", undefined], ["publish", 1], ["publish", 2], ["publish", 3],
  ]);
  hub.close();
});

test("an answer that was lost: the same event_id goes again, and one answer settles it", async () => {
  const { wire, hub } = make();
  const first = await wire.welcome();
  const published = hub.publish("doc:7", "n", 1);
  await settle();
  first.closes(1006);
  assert.equal(await outcome(published), "pending");
  await wire.clock.advance(2000);
  const second = await wire.welcome();
  assert.deepEqual(second.lastSent, first.lastSent);
  second.receives({ type: "hub.published", id: second.lastSent.id, channel: "doc:7", epoch: "e", offset: 1 });
  assert.equal((await published).offset, 1);
});

test("refused while disconnected, by option", async () => {
  const { wire, hub } = make({ whileDisconnected: "refuse" });
  await assert.rejects(hub.publish("doc:7", "n", 1), { name: "HubError", code: "disconnected", retry: true });
  await wire.welcome();
  const published = hub.publish("doc:7", "n", 2);
  assert.equal(await outcome(published), "pending");
  hub.close();
  await assert.rejects(published, { code: "closed", outcome: "unknown" }); // it was sent
});

test("the queue has a bound", async () => {
  const { hub } = make({ maxPending: 3 });
  const waiting = [1, 2, 3].map((n) => hub.publish("doc:7", "n", n));
  await assert.rejects(hub.publish("doc:7", "n", 4), { code: "queue_full", retry: true });
  hub.close();
  for (const one of waiting) await assert.rejects(one, { code: "closed", outcome: "not_done" });
});

test("never sent may wait, or give up after its own time", async () => {
  const { wire, hub } = make();
  const patient = hub.publish("doc:7", "n", 1);
  const hasty = hub.publish("doc:7", "n", 2, { timeoutMs: 3000 });
  const rejected = assert.rejects(hasty, { code: "timeout", retry: true, outcome: "not_done" });
  await wire.clock.advance(3000);
  await rejected;
  assert.equal(await outcome(patient), "pending");
  hub.close();
  await assert.rejects(patient, { code: "closed" });
});

test("sent and unanswered is an unknown outcome after 4 minutes, over reconnects too", async () => {
  const { wire, hub } = make();
  const socket = await wire.welcome();
  const published = hub.publish("doc:7", "n", 1, { timeoutMs: 1000 });
  await settle();
  await wire.clock.advance(120_000);
  socket.closes(1006);
  await wire.clock.advance(2000);
  await wire.welcome();
  await wire.clock.advance(117_999);
  assert.equal(await outcome(published), "pending");
  const rejected = assert.rejects(published, { code: "unknown_outcome", retry: false, outcome: "unknown" });
  await wire.clock.advance(1);
  await rejected;
  hub.close();
});

test("the hub's refusal is a typed error", async () => {
  const { wire, hub } = make();
  const socket = await wire.welcome();
  const published = hub.publish("doc:7", "n", 1);
  await settle();
  socket.receives({ type: "hub.error", id: socket.lastSent.id, code: "rate_limited", reason: "slowly", channel: "doc:7", retry: true, retry_after_ms: 700 });
  const error = await published.catch((reason) => reason);
  assert.ok(error instanceof HubError);
  assert.deepEqual([error.code, error.message, error.channel, error.retry, error.retryAfterMs], ["rate_limited", "slowly", "doc:7", true, 700]);
  assert.equal(error.outcome, "not_done");
});

test("unavailable means two things, and the hub says which; one that does not is not sure", async () => {
  for (const [said, meant] of [["not_done", "not_done"], ["unknown", "unknown"], [undefined, "unknown"]]) {
    const { wire, hub } = make();
    const socket = await wire.welcome();
    const published = hub.publish("doc:7", "n", 1);
    await settle();
    socket.receives({ type: "hub.error", id: socket.lastSent.id, code: "unavailable", reason: "away", retry: true, outcome: said });
    await assert.rejects(published, { code: "unavailable", outcome: meant });
  }
});

test("what is too large is refused here: the hub would close the connection for it", async () => {
  const { wire, hub } = make();
  const socket = await wire.welcome({ limits: { message_bytes: 1000, channels: 128 } });
  await assert.rejects(hub.publish("doc:7", "n", "x".repeat(1000)), { code: "too_large" });
  await assert.rejects(hub.publish("doc:7", "n", "ü".repeat(480)), { code: "too_large" });
  const fits = hub.publish("doc:7", "n", "ü".repeat(300));
  assert.equal(await outcome(fits), "pending");
  assert.equal(socket.of("publish").length, 1);
  const circular = {};
  circular.self = circular;
  await assert.rejects(hub.publish("doc:7", "n", circular), { code: "bad_message" });
  hub.close();
  await assert.rejects(fits, { code: "closed" });
});

test("what was queued before the limit was known is refused when it is sent, and the rest goes", async () => {
  const { wire, hub } = make();
  const large = hub.publish("doc:7", "n", "x".repeat(2000));
  const small = hub.publish("doc:7", "n", 1);
  const rejected = assert.rejects(large, { code: "too_large" });
  const socket = await wire.welcome({ limits: { message_bytes: 1000, channels: 128 } });
  await rejected;
  assert.equal(socket.of("publish").length, 1);
  hub.close();
  await assert.rejects(small, { code: "closed" });
});

test("ack false: no id, no queue, dropped while disconnected or behind a full socket", async () => {
  const { wire, hub, errors } = make();
  await hub.publish("cursor:1", "moved", 0, { ack: false });
  const socket = await wire.welcome();
  assert.deepEqual(socket.sent, []);
  await hub.publish("cursor:1", "moved", 1, { ack: false, key: "me" });
  assert.deepEqual(socket.lastSent, { type: "publish", channel: "cursor:1", event: "moved", payload: 1, key: "me" });
  socket.bufferedAmount = 2 ** 21;
  await hub.publish("cursor:1", "moved", 2, { ack: false });
  assert.equal(socket.sent.length, 1);
  socket.receives({ type: "hub.error", code: "rate_limited", reason: "slowly", channel: "cursor:1", retry: true, retry_after_ms: 50 });
  assert.equal(errors[0].code, "rate_limited");
});

for (const codec of [json, msgpack]) {
  const half = "😀".slice(0, 1);
  for (const [where, ask] of [
    ["a payload", (hub) => hub.publish("doc:7", "n", { text: [`a${half}`] })],
    ["a payload's name", (hub) => hub.publish("doc:7", "n", { [half]: 1 })],
    ["a payload behind backslashes", (hub) => hub.publish("doc:7", "n", `\\\\${half}`)],
    ["an event", (hub) => hub.publish("doc:7", half, 1)],
    ["a key", (hub) => hub.publish("doc:7", "n", 1, { key: half })],
    ["an event id", (hub) => hub.publish("doc:7", "n", 1, { eventId: half })],
    ["a channel", (hub) => hub.publish(`doc:${half}`, "n", 1)],
    ["a cursor", (hub) => hub.publish("doc:7", "n", half, { ack: false })],
    ["a history", (hub) => hub.history(`doc:${half}`)],
    ["a state", (hub) => hub.subscribe("doc:8").setPresence({ half })],
    ["a subscription", async (hub) => hub.subscribe(`doc:${half}`)],
    ["a member's name", async (hub) => hub.subscribe("doc:8", { presence: { as: half } })],
  ]) {
    test(`half an emoji in ${where} is refused at once by ${codec.protocol}, and nothing else notices`, async () => {
      const { wire, hub, errors } = make({ codec });
      const say = (message) => wire.last.receives(codec === json ? message : msgpack.encode(message).buffer);
      await settle();
      wire.last.opens();
      say({ type: "hub.welcome", connection: "c", user: "ann", limits: { message_bytes: 65_536, channels: 8 } });
      await assert.rejects(ask(hub), { code: "bad_message", retry: false, outcome: "not_done" });
      const good = hub.ping();
      await settle();
      const sent = wire.last.sent.map((frame) => (codec === json ? frame : msgpack.decode(frame.buffer)));
      say({ type: "hub.pong", id: sent.at(-1).id, time: 17 });
      assert.equal(await good, 17);
      wire.last.closes(1006); // nothing of it is said again
      await wire.clock.advance(1000);
      assert.deepEqual(errors, []);
      assert.equal(wire.sockets.length, 2);
    });
  }

  test(`whole emojis and escapes that only look like halves travel by ${codec.protocol}`, () => {
    for (const text of ["😀", "\\ud83d", "\\\\ud83d", "a\\\\\\ud83d😀"]) {
      const sent = codec.encode({ text });
      assert.equal(codec.decode(typeof sent === "string" ? sent : sent.buffer).text, text);
    }
  });
}

const COMPLAINT = { type: "hub.error", code: "bad_message", reason: "recursion limit exceeded", retry: false };

test("a complaint without an id settles the command that it can only belong to", async () => {
  const { wire, hub, errors } = make();
  const socket = await wire.welcome();
  const published = hub.publish("doc:7", "n", 1);
  await settle();
  socket.receives(COMPLAINT);
  await assert.rejects(published, { code: "bad_message" });
  const sub = hub.subscribe("doc:7");
  await settle();
  socket.receives(COMPLAINT);
  assert.equal(sub.state.name, "ended");
  assert.equal(sub.state.error.code, "bad_message");
  assert.deepEqual(errors, []);
});

test("a complaint without an id that may belong to several is told, and settles none", async () => {
  const { wire, hub, errors } = make();
  const socket = await wire.welcome();
  const two = [hub.publish("doc:7", "n", 1), hub.publish("doc:7", "n", 2)];
  await settle();
  socket.receives(COMPLAINT);
  assert.deepEqual([await outcome(two[0]), await outcome(two[1]), errors.length], ["pending", "pending", 1]);
  const [first, second] = socket.of("publish");
  socket.receives({ type: "hub.published", id: first.id, channel: "doc:7", epoch: "e", offset: 1 });
  await hub.publish("cursor:1", "n", 3, { ack: false }); // it may be about this one
  socket.receives(COMPLAINT);
  assert.deepEqual([await outcome(two[1]), errors.length], ["pending", 2]);
  const later = hub.publish("doc:7", "n", 4);
  await settle();
  const { id } = socket.lastSent;
  socket.receives({ type: "hub.published", id, channel: "doc:7", epoch: "e", offset: 2 }); // the cursor was read before
  await later;
  socket.receives(COMPLAINT);
  await assert.rejects(two[1], { code: "bad_message" });
  assert.equal(errors.length, 2);
  assert.equal(second.payload, 2);
});

test("history, presence, ping: their fields and answers", async () => {
  const { wire, hub } = make();
  const socket = await wire.welcome();
  const history = hub.history("job:1", { since: { epoch: "e", offset: 2 }, limit: 10 });
  const presence = hub.presence("doc:1", { group: "user" });
  const ping = hub.ping();
  await settle();
  const [asked, who, pinged] = socket.sent;
  assert.deepEqual(asked, { type: "history", id: asked.id, channel: "job:1", since: { epoch: "e", offset: 2 }, limit: 10 });
  assert.deepEqual(who, { type: "presence", id: who.id, channel: "doc:1", group: "user" });
  socket.receives({ type: "hub.pong", id: pinged.id, time: 17 });
  socket.receives({ type: "hub.presence", id: who.id, channel: "doc:1", members: [{ user: "ann" }] });
  socket.receives({ type: "hub.history", id: asked.id, channel: "job:1", events: [], epoch: "e", offset: 2, more: false });
  assert.equal(await ping, 17);
  assert.deepEqual(await presence, [{ user: "ann" }]);
  assert.equal((await history).more, false);
});

test("a request without an answer times out", async () => {
  const { wire, hub } = make({ timeoutMs: 3000 });
  await wire.welcome();
  const rejected = assert.rejects(hub.history("job:1"), { code: "timeout", retry: true });
  await settle();
  await wire.clock.advance(3000);
  await rejected;
});

test("an answer to nobody is ignored", async () => {
  const { wire, hub, errors } = make();
  const socket = await wire.welcome();
  socket.receives({ type: "hub.published", id: 99, channel: "doc:7" });
  socket.receives({ type: "hub.error", id: 99, code: "internal", reason: "x" });
  assert.deepEqual(errors, []);
  assert.equal(hub.state.name, "connected");
});

test("commands on one channel go in the order of the calls", async () => {
  const { wire, hub } = make();
  const socket = await wire.welcome();
  const sub = hub.subscribe("doc:7", { presence: true });
  sub.setPresence({ at: 1 }).catch(() => {});
  hub.publish("doc:7", "n", 1, { ack: false });
  sub.unsubscribe();
  hub.subscribe("doc:7");
  await settle();
  assert.deepEqual(socket.sent.map(({ type }) => type), ["subscribe", "set_presence", "publish", "unsubscribe", "subscribe"]);
  hub.close();
});

test("ack without a position is a mistake of the caller", () => {
  const { hub } = make();
  assert.throws(() => hub.subscribe("user:ann").ack(), /no position yet/);
  hub.close();
});

test("publish: meta goes with it", async () => {
  const { wire, hub } = make();
  const socket = await wire.welcome();
  hub.publish("doc:7", "n", 1, { meta: { cause: "x" } }).catch(() => {});
  await settle();
  assert.deepEqual(socket.lastSent.meta, { cause: "x" });
  hub.close();
});
