/** Tokens for one channel: brought with the subscribe, renewed, asked for anew. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Hub } from "../../src/index.js";
import "../../src/channeltoken.js"; // loaded already, so that loading it on demand takes no time here
import { settle } from "../support/clock.js";
import { recorder } from "../support/log.js";
import { Wire } from "../support/sockets.js";
import { Browser } from "../support/tabs.js";

const CHANNEL = "doc:7";
const at = (offset) => ({ epoch: "e", offset });
const event = (offset) => ({ type: "moved", channel: CHANNEL, offset, id: `e_${offset}`, time: 1, payload: offset });

/** A subscription whose tokens are `t1`, `t2`, …, or what `getToken` says. */
async function subscribed(getToken) {
  const wire = new Wire();
  const asked = [];
  const errors = [];
  const states = [];
  const record = recorder();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env });
  hub.on("error", (error) => errors.push(error));
  const sub = hub.subscribe(CHANNEL, {
    ...record.options,
    getToken: (request) => (asked.push(request), (getToken ?? (() => `t${asked.length}`))(asked.length)),
    onState: ({ name, error }) => states.push(error ? `${name} ${error.code}` : name),
  });
  const socket = await wire.welcome();
  await settle();
  const say = (message, on = socket) => on.receives({ channel: CHANNEL, ...message });
  const accept = (on = socket, reply = at(5)) => say({ type: "hub.subscribed", id: on.of("subscribe").at(-1).id, ...reply }, on);
  const refuse = (code, retry = false) => say({ type: "hub.error", id: socket.of("subscribe").at(-1).id, code, reason: code, retry });
  return { wire, hub, sub, socket, say, accept, refuse, record, asked, errors, states };
}

test("it is asked for first, and goes with the subscribe", async () => {
  const { socket, accept, asked, states, record } = await subscribed();
  assert.deepEqual(asked, [{ channel: CHANNEL, reason: "connect" }]);
  assert.deepEqual(socket.of("subscribe"), [{ type: "subscribe", id: 1, channel: CHANNEL, token: "t1" }]);
  accept();
  socket.receives(event(6));
  assert.deepEqual([states, record.offsets], [["live"], [6]]);
});

test("a reconnect brings the one at hand, from the position, and asks nobody", async () => {
  const { wire, socket, accept, asked } = await subscribed();
  accept();
  socket.closes(1006);
  await wire.clock.advance(2000);
  const next = await wire.welcome();
  assert.deepEqual(next.of("subscribe")[0], { type: "subscribe", id: 2, channel: CHANNEL, since: at(5), token: "t1" });
  assert.equal(asked.length, 1);
});

test("renewed in the time that is left, and the subscription stays as it is", async () => {
  const { wire, socket, say, accept, asked, states, errors } = await subscribed();
  accept();
  say({ type: "hub.token_expiring", expires_at: 0, expires_in_ms: 40_000 });
  await wire.clock.advance(19_000);
  assert.equal(asked.length, 1, "not before half of its life");
  for (let ms = 19_000; ms < 38_000 && asked.length === 1; ms += 500) await wire.clock.advance(500);
  assert.deepEqual(asked[1], { channel: CHANNEL, reason: "expiring" });
  const [renew] = socket.of("renew");
  assert.deepEqual(renew, { type: "renew", id: renew.id, channel: CHANNEL, token: "t2" });
  say({ type: "hub.renewed", id: renew.id, expires_at: 1 });
  socket.closes(1006);
  await wire.clock.advance(2000);
  assert.equal((await wire.welcome()).of("subscribe")[0].token, "t2");
  assert.deepEqual([states, errors], [["live", "waiting"], []]);
});

test("a node that knows no renewal is let be; another refusal is told, and the subscription goes on", async () => {
  for (const [code, told] of [["unknown_type", []], ["token_invalid", ["token_invalid"]]]) {
    const { wire, socket, say, accept, states, errors } = await subscribed();
    accept();
    say({ type: "hub.token_expiring", expires_at: 0, expires_in_ms: 10_000 });
    await wire.clock.advance(10_000);
    say({ type: "hub.error", id: socket.of("renew")[0].id, code, reason: code, retry: false });
    await settle();
    assert.deepEqual([states, errors.map((error) => error.code)], [["live"], told]);
  }
});

test("one that has ended: another is asked for, and nothing is lost between", async () => {
  const { wire, socket, say, accept, asked, states, record } = await subscribed();
  accept();
  socket.receives(event(6));
  say({ type: "hub.unsubscribed", code: "token_expired", reason: "ended" });
  await wire.clock.advance(500);
  assert.deepEqual(asked[1], { channel: CHANNEL, reason: "refused" });
  const again = socket.of("subscribe")[1];
  assert.deepEqual([again.token, again.since], ["t2", at(6)]);
  accept(socket, { ...at(8), recovered: true, missed: 2 });
  for (const offset of [7, 8]) socket.receives(event(offset));
  assert.deepEqual([states, record.offsets], [["live", "waiting", "live"], [6, 7, 8]]);
});

test("refused: another one, once; the second refusal ends it", async () => {
  const { wire, socket, refuse, sub, asked, states } = await subscribed();
  refuse("token_invalid");
  await wire.clock.advance(500);
  assert.equal(asked.length, 2);
  refuse("token_expired");
  await wire.clock.advance(60_000);
  assert.equal(asked.length, 2);
  assert.deepEqual([states, sub.state.error.code, socket.of("subscribe").length], [["ended token_expired"], "token_expired", 2]);
});

test("a right that was taken, or that the token does not give, ends it with the hub's word", async () => {
  const taken = await subscribed();
  taken.accept();
  taken.say({ type: "hub.unsubscribed", code: "revoked", reason: "taken" });
  assert.deepEqual([taken.sub.state.error.code, taken.sub.state.error.cause], ["unsubscribed", "revoked"]);
  const refused = await subscribed();
  refused.refuse("forbidden");
  assert.deepEqual([refused.states, refused.asked.length], [["ended forbidden"], 1]);
});

test("getToken throws: again, with backoff; `retry: false` ends it; null leaves it to the connection's right", async () => {
  const flaky = await subscribed((n) => {
    if (n < 3) throw new Error("no network");
    return "good";
  });
  await flaky.wire.clock.advance(5000);
  assert.deepEqual([flaky.errors.length, flaky.socket.lastSent.token], [2, "good"]);
  const out = await subscribed(() => Promise.reject(Object.assign(new Error("logged out"), { retry: false })));
  await out.wire.clock.advance(60_000);
  assert.deepEqual([out.states, out.asked.length, out.sub.state.error.message], [["ended token"], 1, "logged out"]);
  const none = await subscribed(() => null);
  assert.deepEqual(none.socket.lastSent, { type: "subscribe", id: 1, channel: CHANNEL });
});

test("left while its token is on the way: nothing is subscribed", async () => {
  let give;
  const { sub, socket, states } = await subscribed(() => new Promise((resolve) => (give = resolve)));
  sub.unsubscribe();
  give("late");
  await settle();
  assert.deepEqual([socket.sent, states], [[], ["ended"]]);
});

test("left while a renewal waits: no token is asked for any more", async () => {
  const { wire, sub, say, accept, asked } = await subscribed();
  accept();
  say({ type: "hub.token_expiring", expires_at: 0, expires_in_ms: 40_000 });
  sub.unsubscribe();
  await wire.clock.advance(60_000);
  assert.equal(asked.length, 1);
});

test("many channels: each has its own, and a reconnect asks for all in one command", async () => {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env });
  for (const channel of ["doc:1", "doc:2"]) hub.subscribe(channel, { getToken: async ({ channel }) => `for-${channel}` });
  hub.subscribe("doc:3");
  await wire.welcome();
  await settle();
  wire.last.closes(1006);
  await wire.clock.advance(2000);
  const { channels } = (await wire.welcome()).of("subscribe")[0];
  const tokens = Object.fromEntries(channels.map(({ channel, token }) => [channel, token]));
  assert.deepEqual(tokens, { "doc:1": "for-doc:1", "doc:2": "for-doc:2", "doc:3": undefined });
});

test("in tabs that share a socket each asks its own page, whoever leads", async () => {
  const browser = new Browser();
  const { wire } = browser;
  const tabs = [browser.tab(), browser.tab()];
  const asked = [];
  const subs = [];
  await browser.quiet();
  const socket = await wire.welcome();
  await browser.quiet();
  const follower = tabs[1].hub;
  subs.push(follower.subscribe(CHANNEL, { getToken: ({ reason }) => (asked.push(reason), `f${asked.length}`) }));
  await browser.quiet();
  assert.equal(socket.lastSent.token, "f1");
  socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, channel: CHANNEL, ...at(5) });
  await browser.quiet();
  socket.receives({ type: "hub.unsubscribed", channel: CHANNEL, code: "token_expired", reason: "ended" });
  await browser.quiet();
  await wire.clock.advance(600);
  await browser.quiet();
  assert.deepEqual([asked, socket.lastSent.token, socket.lastSent.since], [["connect", "refused"], "f2", at(5)]);
  socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, channel: CHANNEL, ...at(5), recovered: true });
  await browser.quiet();
  socket.receives({ type: "hub.token_expiring", channel: CHANNEL, expires_at: 0, expires_in_ms: 2000 });
  await browser.quiet();
  await wire.clock.advance(2000);
  await browser.quiet();
  assert.deepEqual([socket.of("renew")[0].token, subs[0].state.name], ["f3", "live"]);
});
