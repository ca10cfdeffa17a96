import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../src/backoff.js";
import { Hub } from "../../src/index.js";
import { renewalWait } from "../../src/token.js";
import { settle } from "../support/clock.js";
import { table } from "../support/golden.js";
import { Wire } from "../support/sockets.js";

function make(options = {}, wire = new Wire()) {
  const states = [];
  const errors = [];
  const tokens = [];
  const hub = new Hub("wss://hub.test/ws", {
    env: wire.env,
    auth: "subprotocol",
    getToken: async ({ reason }) => `token-${tokens.push(reason)}`,
    ...options,
  });
  hub.on("state", (state) => states.push(state));
  hub.on("error", (error) => errors.push(error));
  return { hub, wire, states, errors, tokens, names: () => states.map(({ name }) => name) };
}

test("connects: the token beside the protocol, never in the URL", async () => {
  const { hub, wire, names } = make();
  assert.equal(hub.state.name, "idle");
  await wire.welcome();
  assert.deepEqual(wire.last.protocols, ["hub.v1.json", "hub.token.token-1"]);
  assert.equal(wire.last.url, "wss://hub.test/ws");
  assert.deepEqual(names(), ["connecting", "connected"]);
  assert.deepEqual(hub.state, { name: "connected", connection: "c_1", user: "ann" });
});

test("auth message: the token is the first message, with the resume on a return", async () => {
  const { wire } = make({ auth: "message" });
  const first = await wire.welcome();
  assert.deepEqual(first.protocols, ["hub.v1.json"]);
  assert.deepEqual(first.sent[0], { type: "authenticate", token: "token-1" });
  first.closes(1006);
  await wire.clock.advance(2000);
  const second = await wire.welcome();
  assert.deepEqual(second.sent[0], { type: "authenticate", token: "token-2", resume: "resume-1" });
  assert.equal(new URL(second.url).searchParams.get("resume"), "resume-1");
});

test("auth query, only when asked for", async () => {
  const { wire } = make({ auth: "query" });
  await settle();
  assert.equal(new URL(wire.last.url).searchParams.get("token"), "token-1");
  assert.deepEqual(wire.last.protocols, ["hub.v1.json"]);
});

test("http addresses become ws", async () => {
  const { env, ...wire } = new Wire();
  for (const [url, becomes] of [["http://hub.test/ws", "ws://hub.test/ws"], ["https://hub.test/ws?a=1", "wss://hub.test/ws?a=1"]]) {
    new Hub(url, { env });
    await settle();
    assert.equal(wire.sockets.at(-1).url, becomes);
  }
});

for (const [what, url, env, why] of [
  ["no address of a WebSocket", "ftp://hub.test", {}, /no http\(s\):\/\/ or ws\(s\):\/\/ address/],
  ["a relative address where there is no page", "/ws", {}, /no http\(s\):\/\/ or ws\(s\):\/\/ address/],
  ["Node.js without a WebSocket", "wss://hub.test/ws", { WebSocket: undefined }, /hand one in/],
]) {
  test(`${what}: making the hub throws nothing, connecting ends with a clear error`, async () => {
    const { WebSocket } = globalThis;
    delete globalThis.WebSocket; // a newer Node.js has one
    try {
      const wire = new Wire();
      const errors = [];
      const hub = new Hub(url, { env: { ...wire.env, ...env } });
      hub.on("error", (error) => errors.push(error));
      const request = assert.rejects(hub.ping(), { code: "closed" });
      await settle();
      await request;
      assert.equal(hub.state.name, "closed");
      assert.match(hub.state.why.reason, why);
      assert.equal(errors[0].code, "address");
      await wire.clock.advance(60_000);
      assert.equal(wire.sockets.length, 0);
    } finally {
      if (WebSocket) globalThis.WebSocket = WebSocket;
    }
  });
}

test("a token from a file has a line end, which is taken off", async () => {
  const { wire } = make({ getToken: () => "a.b.c\n" });
  await settle();
  assert.deepEqual(wire.last.protocols, ["hub.v1.json", "hub.token.a.b.c"]);
});

for (const auth of ["subprotocol", "message", "query"]) {
  for (const token of ["se\ncret", "se cret", "secrét", "", undefined, 17, {}]) {
    test(`a token that can't travel (${JSON.stringify(token)} by ${auth}) stops, and is in no error`, async () => {
      const { hub, wire, errors, states } = make({ auth, getToken: () => token });
      await settle();
      assert.equal(hub.state.name, "closed");
      assert.equal(errors[0].code, "token");
      assert.doesNotMatch(JSON.stringify([states, errors.map(String)]), /cr[eé]t/);
      await wire.clock.advance(600_000);
      assert.equal(wire.sockets.length, 0);
    });
  }
}

test("a browser that refuses the protocol or the address quotes the token: its words are not repeated, and it is not asked again", async () => {
  for (const auth of ["subprotocol", "query"]) {
    const wire = new Wire();
    let attempts = 0;
    wire.env.WebSocket = class {
      constructor(url, protocols) {
        attempts++;
        throw new DOMException(`'${protocols[1] ?? url}' is invalid.`, "SyntaxError");
      }
    };
    const { hub, errors, states } = make({ auth, getToken: () => "s/ecret=" }, wire);
    await wire.clock.advance(600_000);
    assert.equal(attempts, 1);
    assert.equal(hub.state.name, "closed");
    assert.doesNotMatch(JSON.stringify([states, errors.map(String), errors.map(({ cause }) => String(cause))]), /ecret/);
  }
});

test("an ordinary close: backoff with full jitter, resume offered, everything subscribed again in one command", async () => {
  const { hub, wire, states } = make();
  hub.subscribe("job:1");
  hub.subscribe("job:2");
  const first = await wire.welcome();
  const [command] = first.of("subscribe");
  assert.deepEqual(command.channels, [{ channel: "job:1" }, { channel: "job:2" }]);
  first.receives({
    type: "hub.subscribed",
    id: command.id,
    results: [
      { channel: "job:1", epoch: "e", offset: 3 },
      { channel: "job:2", epoch: "e", offset: 0 },
    ],
  });
  first.closes(1006);
  const state = states.at(-1);
  assert.equal(state.name, "reconnecting");
  assert.ok(state.inMs >= 0 && state.inMs <= 500, `${state.inMs}`);
  assert.equal(wire.sockets.length, 1);
  await wire.clock.advance(state.inMs);
  const second = await wire.welcome();
  assert.equal(second.sent.length, 1);
  assert.deepEqual(second.sent[0].channels, [
    { channel: "job:1", since: { epoch: "e", offset: 3 } },
    { channel: "job:2", since: { epoch: "e", offset: 0 } },
  ]);
});

for (const { code, then } of table("close_codes").filter(({ code }) => code !== 1005)) {
  test(`close code ${code}: ${then}`, async () => {
    const { hub, wire, states, tokens } = make();
    const socket = await wire.welcome();
    socket.closes(code, "because");
    const state = states.at(-1);
    if (then === "stop") {
      assert.deepEqual([state.name, state.why.code, state.why.reason], ["closed", code, "because"]);
      await wire.clock.advance(120_000);
      assert.equal(wire.sockets.length, 1);
      await assert.rejects(hub.ping(), { code: "closed" });
      return;
    }
    assert.equal(state.name, "reconnecting");
    assert.equal(state.why.code, code);
    await wire.clock.advance(2000);
    assert.equal(wire.sockets.length, 2);
    assert.deepEqual(tokens, ["connect", then === "renew" ? "refused" : "connect"]);
    await wire.welcome();
    assert.equal(hub.state.name, "connected");
  });
}

test("a token that is refused twice stops with a clear error", async () => {
  const { wire, states, tokens } = make();
  await settle();
  wire.last.opens();
  wire.last.receives({ type: "hub.close", code: 4202, reason: "bad signature", reconnect: null });
  await wire.clock.advance(2000);
  wire.last.opens();
  wire.last.closes(4202, "bad signature");
  assert.equal(states.at(-1).name, "closed");
  assert.equal(states.at(-1).why.code, 4202);
  assert.match(states.at(-1).why.reason, /token was refused, and a new one too: bad signature/);
  assert.equal(states.at(-1).why.error.code, "token");
  assert.deepEqual(tokens, ["connect", "refused"]);
  await wire.clock.advance(120_000);
  assert.equal(wire.sockets.length, 2);
});

test("a good token between two refusals forgives the first", async () => {
  const { hub, wire } = make();
  for (let round = 0; round < 3; round++) {
    const socket = await wire.welcome();
    socket.closes(4201);
    await wire.clock.advance(hub.state.inMs);
  }
  assert.equal(hub.state.name, "connecting");
});

test("getToken that rejects or hangs is retried with backoff and shown as state", async () => {
  let calls = 0;
  const late = [];
  const { wire, states, names } = make({
    getToken: () => {
      calls++;
      if (calls === 1) return Promise.reject(new Error("endpoint down"));
      if (calls === 2) return new Promise((resolve) => late.push(resolve));
      return "third";
    },
  });
  await settle();
  assert.equal(states.at(-1).name, "reconnecting");
  assert.match(states.at(-1).why.reason, /endpoint down/);
  await wire.clock.advance(states.at(-1).inMs);
  assert.equal(calls, 2);
  assert.equal(states.at(-1).name, "connecting");
  await wire.clock.advance(10_000);
  assert.match(states.at(-1).why.reason, /no answer in time/);
  late[0]("too late");
  await wire.clock.advance(states.at(-1).inMs);
  assert.equal(calls, 3);
  assert.equal(wire.sockets.length, 1);
  assert.deepEqual(wire.last.protocols, ["hub.v1.json", "hub.token.third"]);
  assert.deepEqual(names(), ["connecting", "reconnecting", "connecting", "reconnecting", "connecting"]);
});

test("getToken that says never stops", async () => {
  const { wire, states } = make({ getToken: () => Promise.reject(Object.assign(new Error("logged out"), { retry: false })) });
  await settle();
  assert.equal(states.at(-1).name, "closed");
  await wire.clock.advance(60_000);
  assert.equal(wire.sockets.length, 0);
});

test("getToken that throws at once is a rejection like any other", async () => {
  const { states } = make({ getToken: () => { throw new Error("no session"); } });
  await settle();
  assert.match(states.at(-1).why.reason, /no session/);
});

test("the counter of the backoff is reset only after a stable period", async () => {
  const { wire, states } = make({}, Object.assign(new Wire(), { random: () => 1 }));
  const waits = [];
  const round = async (standsMs) => {
    const socket = await wire.welcome();
    await wire.clock.advance(standsMs);
    socket.closes(1006);
    waits.push(states.at(-1).inMs);
    await wire.clock.advance(states.at(-1).inMs);
  };
  for (const standsMs of [0, 0, 9000, 0, 11_000, 0]) await round(standsMs);
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 500, 1000]);
});

test("waits are spread over the whole range and end at the cap", async () => {
  const { wire, states } = make();
  await settle();
  const waits = [];
  for (let attempt = 0; attempt < 60; attempt++) {
    wire.last.closes(1006);
    waits.push(states.at(-1).inMs);
    await wire.clock.advance(states.at(-1).inMs);
  }
  const late = waits.slice(6);
  assert.ok(Math.max(...waits) <= 20_000);
  assert.ok(late.some((wait) => wait < 7000) && late.some((wait) => wait > 13_000), `${late}`);
});

test("the window of hub.close is kept, and its close needs not come", async () => {
  const { wire, states } = make();
  const socket = await wire.welcome();
  socket.receives({ type: "hub.close", code: 4103, reason: "full", reconnect: { min_ms: 30_000, max_ms: 40_000 } });
  assert.equal(socket.readyState, 3);
  const { inMs, why } = states.at(-1);
  assert.ok(inMs >= 30_000 && inMs <= 40_000, `${inMs}`);
  assert.deepEqual([why.code, why.reason], [4103, "full"]);
  await wire.clock.advance(29_999);
  assert.equal(wire.sockets.length, 1);
  wire.wake(); // a wake does not break into the window
  await settle();
  assert.equal(wire.sockets.length, 1);
  await wire.clock.advance(10_001);
  assert.equal(wire.sockets.length, 2);
});

test("a window that comes with another code is not waited for", async () => {
  const { wire, states } = make();
  const socket = await wire.welcome();
  socket.receives({ type: "hub.close", code: 4101, reason: "slow", reconnect: { min_ms: 15_000, max_ms: 20_000 } });
  assert.ok(states.at(-1).inMs <= 2000);
});

test("retry_after_ms of a refusal is kept", async () => {
  const { wire, states } = make();
  await settle();
  wire.last.opens();
  wire.last.receives({ type: "hub.error", code: "limit", reason: "too many", retry: true, retry_after_ms: 60_000 });
  wire.last.closes(4129);
  assert.ok(states.at(-1).inMs >= 60_000);
  assert.equal(states.at(-1).why.reason, "too many");
});

test("the backoff learns its limits from hub.welcome", async () => {
  const { wire, states } = make({}, Object.assign(new Wire(), { random: () => 0.9 }));
  const socket = await wire.welcome({ reconnect: { min_ms: 5000, max_ms: 6000 } });
  socket.closes(1006);
  assert.ok(states.at(-1).inMs > 2500 && states.at(-1).inMs <= 5000);
});

test("a hub that does not answer is given up, and what it says later is not heard", async () => {
  const { hub, wire, states } = make();
  await settle();
  const silent = wire.last;
  silent.opens();
  await wire.clock.advance(10_000);
  assert.match(states.at(-1).why.reason, /no answer in time/);
  assert.equal(silent.readyState, 3);
  silent.receives({ type: "hub.welcome", connection: "late" });
  assert.equal(hub.state.name, "reconnecting");
});

test("offline is a hint: the link decides, attempts go on with backoff, and one is made at once when it ends", async () => {
  const { hub, wire, names } = make();
  const socket = await wire.welcome();
  wire.goOffline();
  assert.equal(hub.state.name, "connected");
  assert.equal(socket.lastSent.type, "ping");
  await wire.clock.advance(8000);
  assert.equal(hub.state.name, "offline");
  for (let attempt = 2; attempt < 8; attempt++) {
    for (let ms = 0; ms < 20_000 && wire.sockets.length < attempt; ms += 100) await wire.clock.advance(100);
    assert.equal(wire.sockets.length, attempt);
    wire.last.closes(1006);
    assert.equal(hub.state.name, "offline");
  }
  const before = wire.sockets.length;
  wire.goOnline();
  await wire.clock.advance(1000);
  assert.equal(wire.sockets.length, before + 1);
  wire.last.closes(1006);
  assert.deepEqual(names().slice(-3), ["offline", "connecting", "reconnecting"]);
});

test("a browser that is wrong about the network (loopback only) connects all the same", async () => {
  const wire = new Wire();
  wire.isOnline = false;
  const { hub, names } = make({}, wire);
  await wire.welcome();
  assert.equal(hub.state.name, "connected");
  assert.deepEqual(names(), ["connecting", "connected"]);
  wire.goOffline();
  await settle();
  wire.last.receives({ type: "hub.pong" });
  await wire.clock.advance(20_000);
  assert.equal(hub.state.name, "connected");
});

test("going offline while connecting: the attempt decides", async () => {
  const { hub, wire } = make();
  await settle();
  wire.goOffline();
  assert.equal(hub.state.name, "connecting");
  await wire.welcome();
  assert.equal(hub.state.name, "connected");
});

test("flapping networks do not hammer", async () => {
  const { wire } = make();
  await settle();
  for (let flap = 0; flap < 50; flap++) {
    wire.last.closes(1006);
    wire.wake();
    await wire.clock.advance(20);
  }
  assert.ok(wire.sockets.length <= 4, `${wire.sockets.length} attempts in a second`);
});

test("a sleep is noticed by the clock: a waiting client tries at once", async () => {
  const { wire } = make({}, Object.assign(new Wire(), { random: () => 1 }));
  await settle();
  for (let attempt = 0; attempt < 5; attempt++) {
    wire.last.closes(1006);
    await wire.clock.advance(20_000);
  }
  const before = wire.sockets.length;
  wire.last.closes(1006); // 20 s to wait
  wire.clock.sleep(3_600_000);
  await wire.clock.advance(2000);
  assert.equal(wire.sockets.length, before + 1);
});

test("a sleep is noticed by the clock: a standing link is tested, and dropped when dead", async () => {
  const { hub, wire } = make();
  const socket = await wire.welcome();
  wire.clock.sleep(60_000);
  await wire.clock.advance(2000);
  assert.equal(socket.of("ping").length, 1);
  await wire.clock.advance(8000);
  assert.equal(hub.state.name, "reconnecting");
  assert.equal(socket.readyState, 3);
});

test("a clock that is set back neither stops the pings nor the attempts", async () => {
  const { wire, names } = make();
  const socket = await wire.welcome();
  wire.clock.sleep(-86_400_000);
  await wire.clock.advance(40_000);
  assert.equal(names()[2], "reconnecting");
  assert.equal(socket.of("ping").length, 1);
  wire.clock.sleep(-86_400_000);
  wire.wake();
  await wire.clock.advance(1100);
  assert.ok(wire.sockets.length >= 2);
});

test("silence is asked, an answer of any kind is life", async () => {
  const { hub, wire } = make({ pingAfterMs: 10_000 });
  const socket = await wire.welcome();
  for (let second = 0; second < 60; second++) {
    socket.receives({ type: "hub.something_new" });
    await wire.clock.advance(1000);
  }
  assert.equal(socket.of("ping").length, 0);
  await wire.clock.advance(13_000);
  assert.equal(socket.of("ping").length, 1);
  socket.receives({ type: "hub.pong", time: 1 });
  await wire.clock.advance(9000);
  assert.equal(hub.state.name, "connected");
});

test("a half-open link is dropped at the deadline of the ping", async () => {
  const { wire, states } = make({ pingAfterMs: 10_000, pongTimeoutMs: 3000 });
  const socket = await wire.welcome();
  await wire.clock.advance(12_000 + 3000);
  assert.match(states[2].why.reason, /no answer to a ping/);
  assert.equal(socket.readyState, 3);
  assert.ok(wire.open.length <= 1);
});

test("a malformed frame is reported and resynced by reconnecting", async () => {
  const nonsense = '{"type":"hub.subscribed","id":2,"channel":"job:2","epoch":"e","offset":1,"members":7}';
  for (const frame of ["{", "[]", "17", '{"no":"type"}', new ArrayBuffer(3), nonsense]) {
    const { hub, wire, errors } = make();
    const sub = hub.subscribe("job:1");
    const socket = await wire.welcome();
    socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, channel: "job:1", epoch: "e", offset: 7 });
    hub.subscribe("job:2");
    await settle();
    socket.receives(frame);
    assert.equal(errors.length, 1);
    assert.equal(errors[0].code, "malformed");
    assert.equal(socket.closedWith.code, 4400);
    await wire.clock.advance(2000);
    const next = await wire.welcome();
    assert.deepEqual(next.lastSent.channels[0], { channel: "job:1", since: { epoch: "e", offset: 7 } });
    assert.equal(sub.state.name, "waiting");
  }
});

test("renewal in place, jittered", async () => {
  const { hub, wire, tokens, errors } = make({ pingAfterMs: 100_000 });
  const socket = await wire.welcome();
  await wire.clock.advance(20_000);
  socket.receives({ type: "hub.pong" });
  socket.receives({ type: "hub.token_expiring", expires_at: 1, expires_in_ms: 40_000 });
  await wire.clock.advance(9999);
  assert.deepEqual(tokens, ["connect"]); // it lives for a minute: not before half of it
  await wire.clock.advance(10_001);
  assert.deepEqual(tokens, ["connect", "expiring"]);
  const command = socket.lastSent;
  assert.equal(command.token, "token-2");
  socket.receives({ type: "hub.authenticated", id: command.id, user: "ann", expires_at: 2 });
  await wire.clock.advance(60_000);
  assert.equal(socket.of("authenticate").length, 1);
  assert.deepEqual(errors, []);
  assert.equal(hub.state.name, "connected");
});

test("tokens of 40 s: asked for at half of their life, not as soon as the hub warns", async () => {
  const { wire, tokens } = make({ pingAfterMs: 1e6 });
  const socket = await wire.welcome();
  const warn = () => socket.receives({ type: "hub.token_expiring", expires_at: 1, expires_in_ms: 40_000 });
  warn();
  for (let second = 0; second < 200; second++) {
    const before = socket.of("authenticate").length;
    await wire.clock.advance(1000);
    const asked = socket.of("authenticate");
    if (asked.length === before) continue;
    socket.receives({ type: "hub.authenticated", id: asked.at(-1).id, user: "ann", expires_at: 2 });
    await settle();
    warn();
  }
  assert.ok(tokens.length >= 7 && tokens.length <= 11, `${tokens.length}`);
});

for (const { elapsed_ms, left_ms, random, wait_ms } of table("renewal")) {
  test(`a renewal ${elapsed_ms} ms after the token was taken, with ${left_ms} left, waits ${wait_ms} ms`, () => {
    assert.equal(renewalWait(elapsed_ms, left_ms, () => random), wait_ms);
  });
}

for (const { min_ms, max_ms, attempt, random, wait_ms } of table("backoff")) {
  test(`attempt ${attempt} within ${min_ms} and ${max_ms} waits ${wait_ms} ms of ${random}`, () => {
    const backoff = new Backoff(min_ms, max_ms, () => random);
    for (let before = 0; before < attempt; before++) backoff.next();
    assert.equal(backoff.next(), wait_ms);
  });
}

test("a renewal that fails is reported and tried three times, the connection stays", async () => {
  let calls = 0;
  const { hub, wire, errors } = make({
    pingAfterMs: 1e6,
    getToken: async () => {
      if (++calls === 2) throw new Error("down");
      return `t${calls}`;
    },
  });
  const socket = await wire.welcome();
  socket.receives({ type: "hub.token_expiring", expires_at: 1 });
  while (socket.of("authenticate").length === 0) await wire.clock.advance(100);
  assert.equal(errors[0].message, "down");
  const command = socket.of("authenticate")[0];
  socket.receives({ type: "hub.error", id: command.id, code: "token_invalid", reason: "another user", retry: false });
  while (socket.of("authenticate").length === 1) await wire.clock.advance(100);
  assert.equal(errors[1].code, "token_invalid");
  await wire.clock.advance(10_000);
  assert.equal(errors[2].code, "timeout");
  await wire.clock.advance(100_000);
  assert.equal(calls, 4);
  assert.equal(hub.state.name, "connected");
});

test("a renewal that is still under way at a reconnect is dropped", async () => {
  const pending = [];
  const { wire } = make({ getToken: ({ reason }) => (reason === "expiring" ? new Promise((resolve) => pending.push(resolve)) : "t") });
  const socket = await wire.welcome();
  socket.receives({ type: "hub.token_expiring", expires_at: 1 });
  while (pending.length === 0) await wire.clock.advance(100);
  socket.closes(1006);
  await wire.clock.advance(2000);
  const next = await wire.welcome();
  pending[0]("late");
  await settle();
  assert.deepEqual(next.sent, []);
});

test("closed by the application: silent, requests rejected, and connect() resumes", async () => {
  const { hub, wire, states } = make();
  const sub = hub.subscribe("job:1");
  const socket = await wire.welcome();
  socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, channel: "job:1", epoch: "e", offset: 7 });
  const request = hub.history("job:1");
  await settle();
  hub.close();
  await assert.rejects(request, { code: "closed" });
  assert.equal(states.at(-1).why.reason, "closed by the application");
  assert.equal(socket.readyState, 3);
  assert.equal(wire.clock.pending, 0);
  hub.connect();
  const next = await wire.welcome();
  assert.deepEqual(next.lastSent.since, { epoch: "e", offset: 7 });
  assert.equal(sub.state.name, "waiting");
});

test("close during every phase of connecting leaves nothing behind", async () => {
  for (const phase of ["token", "opening", "greeting", "ready", "waiting"]) {
    const { hub, wire } = make(phase === "token" ? { getToken: () => new Promise(() => {}) } : {});
    await settle();
    if (["greeting", "ready", "waiting"].includes(phase)) wire.last.opens();
    if (["ready", "waiting"].includes(phase)) await wire.welcome();
    if (phase === "waiting") wire.last.closes(1006);
    hub.close();
    hub.close();
    assert.equal(wire.open.length, 0, phase);
    assert.equal(wire.clock.pending, 0, phase);
  }
});

test("autoConnect false waits for connect()", async () => {
  const { hub, wire } = make({ autoConnect: false });
  await wire.clock.advance(5000);
  assert.equal(wire.sockets.length, 0);
  hub.connect();
  await wire.welcome();
  assert.equal(hub.state.name, "connected");
});

test("a WebSocket constructor that throws is an attempt that failed", async () => {
  const wire = new Wire();
  wire.env.WebSocket = class { constructor() { throw new Error("blocked by policy"); } };
  const { states } = make({}, wire);
  await settle();
  assert.match(states.at(-1).why.reason, /blocked by policy/);
});

test("a listener that throws is reported and stops no other; one of errors that throws too", async () => {
  const { hub, wire, errors } = make();
  let reached = 0;
  hub.on("state", () => { throw new Error("mine"); });
  hub.on("state", () => reached++);
  await wire.welcome();
  assert.equal(reached, 2);
  assert.equal(errors[0].code, "callback");
  assert.equal(errors[0].cause.message, "mine");
  const printed = [];
  const { error } = console;
  console.error = (...args) => printed.push(args);
  try {
    hub.on("error", () => { throw new Error("worse"); });
    wire.last.closes(1006);
  } finally {
    console.error = error;
  }
  assert.equal(printed.length, 1);
});

test("close() and connect() from inside a state listener", async () => {
  for (const at of ["connecting", "connected", "reconnecting", "offline"]) {
    const { hub, wire, names } = make();
    hub.on("state", ({ name }) => name === at && hub.close());
    await settle();
    if (at === "offline") {
      wire.goOffline();
      wire.last.closes(1006);
    }
    else if (at !== "connecting") {
      const socket = await wire.welcome();
      if (at === "reconnecting") socket.closes(1006);
    }
    assert.equal(hub.state.name, "closed", at);
    assert.equal(names().at(-1), "closed");
    await wire.clock.advance(120_000);
    assert.equal(wire.open.length, 0, at);
    assert.equal(wire.clock.pending, 0, at);
    assert.equal(hub.state.name, "closed", at);
  }
  const { hub, wire } = make();
  hub.on("state", ({ name }) => name === "closed" && hub.connect());
  const socket = await wire.welcome();
  socket.closes(4403);
  await wire.welcome();
  assert.equal(hub.state.name, "connected");
  assert.equal(wire.open.length, 1);
});

test("close() and connect() from inside what a subscription is told", async () => {
  for (const how of ["close", "again"]) {
    const { hub, wire } = make();
    const sub = hub.subscribe("job:1");
    sub.on("state", ({ name }) => {
      if (name !== "waiting") return;
      hub.close();
      if (how === "again") hub.connect();
    });
    const socket = await wire.welcome();
    socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, channel: "job:1", epoch: "e", offset: 7 });
    socket.closes(1006);
    await settle();
    assert.equal(hub.state.name, how === "close" ? "closed" : "connecting");
    assert.equal(wire.open.length, how === "close" ? 0 : 1);
  }
  // from a gap: nobody is said to be live on a hub that is closed
  const { hub, wire } = make();
  const since = { epoch: "old", offset: 1 };
  const subs = [1, 2].map(() => hub.subscribe("job:1", { since, onGap: () => hub.close() }));
  const socket = await wire.welcome();
  socket.receives({ type: "hub.subscribed", id: socket.lastSent.id, channel: "job:1", epoch: "e", offset: 7, recovered: false, gap: { from: 1, to: 7, cause: "epoch" } });
  assert.equal(hub.state.name, "closed");
  assert.deepEqual(subs.map(({ state }) => state.name), ["waiting", "waiting"]);
  assert.equal(wire.clock.pending, 0);
});
