/** The client and the real hub, on a network that holds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { HubError } from "../../src/index.js";
import { msgpack } from "../../src/msgpack.js";
import { Node, client, connected, live, range, sign, signChannel, sleep, until } from "../support/hub.js";

let node;
let serial = 0;
/** A channel that no other test uses. */
const fresh = (namespace) => `${namespace}:${++serial}`;

test("the client and the real hub", { timeout: 240_000 }, async (t) => {
  node = await Node.start(t);

  for (const auth of ["message", "subprotocol", "query"]) {
    await t.test(`connects with auth ${auth}`, async (t) => {
      const hub = client(t, node.url, { auth });
      await connected(hub);
      assert.equal(hub.state.user, "ann");
      assert.ok(Math.abs((await hub.ping()) - Date.now()) < 60_000);
      assert.deepEqual(hub.states, ["connecting", "connected"]);
    });
  }

  for (const codec of [undefined, msgpack]) {
    await t.test(`publishes and receives, ${codec ? "MessagePack" : "JSON"}`, async (t) => {
      const channel = fresh("doc");
      const hub = client(t, node.url, { codec });
      const seen = [];
      const sub = hub.subscribe(channel, { onEvent: (event) => seen.push(event) });
      await live(sub);
      const payload = { text: "Grüße €😀", list: [1, -2.5, null, true, 2 ** 40], nested: { deep: [[]] } };
      const published = await hub.publish(channel, "note", payload, { key: "k", eventId: `e-${channel}` });
      assert.equal(published.offset, 1);
      await until(() => seen.length === 1, "the event");
      const { type, key, from, id } = seen[0];
      assert.deepEqual({ type, key, from, id }, { type: "note", key: "k", from: "ann", id: `e-${channel}` });
      assert.deepEqual(seen[0].payload, payload);
      assert.deepEqual(sub.position, { epoch: published.epoch, offset: 1 });
      const again = await hub.publish(channel, "note", payload, { key: "k", eventId: `e-${channel}` });
      assert.equal(again.offset, 1);
      const history = await hub.history(channel, { limit: 10 });
      assert.deepEqual(history.events.map(({ offset }) => offset), [1]);
    });
  }

  await t.test("a channel that only its own token opens: renewed while events come, and not without one", async (t) => {
    const [channel, other] = [fresh("doc"), fresh("doc")];
    const none = { subscribe: [], publish: [], presence: [] };
    const hub = client(t, node.url, { grants: none });
    const reasons = [];
    const seen = [];
    const getToken = ({ channel, reason }) => {
      reasons.push(reason);
      return signChannel("ann", channel, { publish: true }, reasons.length === 1 ? 3 : 3600);
    };
    const sub = hub.subscribe(channel, { getToken, onEvent: ({ payload }) => seen.push(payload) });
    const refused = hub.subscribe(other);
    await live(sub);
    assert.deepEqual((await hub.publish(channel, "note", 1)).warnings, undefined);
    await until(() => reasons.length === 2, "the renewal");
    await sleep(3000); // past the first one's end
    assert.equal((await hub.publish(channel, "note", 2)).offset, 2);
    await until(() => seen.length === 2, "both events");
    assert.deepEqual([reasons, sub.state.name, refused.state.error.code], [["connect", "expiring"], "live", "forbidden"]);
    await assert.rejects(hub.publish(other, "note", 1), { code: "forbidden" });
    await node.post("/v1/unsubscribe", { user: "ann", channel });
    await until(() => sub.state.name === "ended", "the end of the right");
    assert.deepEqual([sub.state.error.code, sub.state.error.cause], ["unsubscribed", "revoked"]);
  });

  await t.test("a stored position resumes in another client", async (t) => {
    const channel = fresh("doc");
    const first = client(t, node.url);
    const sub = first.subscribe(channel);
    await live(sub);
    await node.publish(channel, "note", 1);
    await until(() => sub.position?.offset === 1, "the first event");
    const kept = JSON.parse(JSON.stringify(sub.position));
    first.close();
    for (const n of [2, 3]) await node.publish(channel, "note", n);
    const second = client(t, node.url);
    const seen = [];
    second.subscribe(channel, { since: kept, onEvent: ({ payload }) => seen.push(payload) });
    await until(() => seen.length === 2, "what was missed");
    assert.deepEqual(seen, [2, 3]);
  });

  await t.test("a position of another numbering is a gap with its cause", async (t) => {
    const channel = fresh("doc");
    const hub = client(t, node.url);
    await node.publish(channel, "note", 1);
    const gaps = [];
    const sub = hub.subscribe(channel, { since: { epoch: "gone", offset: 7 }, onGap: (gap) => gaps.push(gap) });
    await live(sub);
    assert.deepEqual(gaps, [{ from: 1, to: 1, cause: "epoch" }]);
    assert.equal(sub.position.offset, 1);
  });

  await t.test("jobs: the snapshot, then the tail, consistent at one offset", async (t) => {
    const channel = fresh("job");
    for (const [key, n] of [["a", 1], ["b", 1], ["a", 2]]) await node.publish(channel, "progress", n, { key });
    const hub = client(t, node.url);
    const snapshots = [];
    const seen = [];
    const sub = hub.subscribe(channel, {
      onSnapshot: (events, position) => snapshots.push([events.map(({ key, payload }) => [key, payload]).sort(), position.offset]),
      onEvent: ({ offset }) => seen.push(offset),
    });
    await live(sub);
    await node.publish(channel, "progress", 3, { key: "a" });
    await until(() => seen.length === 1, "the tail");
    assert.deepEqual(snapshots, [[[["a", 2], ["b", 1]], 3]]);
    assert.deepEqual(seen, [4]);
  });

  await t.test("jobs: a snapshot of many frames is whole", async (t) => {
    const channel = fresh("job");
    const events = range(1, 600).map((n) => ({ channel, event: "progress", payload: "x".repeat(1500), key: `job-${n}` }));
    await node.post("/v1/batch", { events });
    const hub = client(t, node.url);
    let snapshot;
    const sub = hub.subscribe(channel, { onSnapshot: (all) => (snapshot = all) });
    await live(sub);
    assert.equal(snapshot.length, 600);
    assert.equal(new Set(snapshot.map(({ key }) => key)).size, 600);
    assert.equal(sub.position.offset, 600);
  });

  await t.test("max_rate conflates, and the last event of each key arrives", async (t) => {
    const channel = fresh("job");
    const hub = client(t, node.url);
    const seen = [];
    const sub = hub.subscribe(channel, { maxRate: 4, onEvent: (event) => seen.push(event) });
    await live(sub);
    for (let n = 1; n <= 60; n++) await node.publish(channel, "progress", n, { key: `k${n % 3}`, final: n > 57 });
    await until(() => sub.position.offset === 60, "the last");
    assert.ok(seen.length < 60 && seen.some(({ conflated }) => conflated > 0), `${seen.length} events`);
    const last = new Map(seen.map(({ key, payload }) => [key, payload]));
    assert.deepEqual([...last.values()].sort(), [58, 59, 60]);
  });

  await t.test("a second listener of a job has its own snapshot, the first loses nothing", async (t) => {
    const channel = fresh("job");
    await node.publish(channel, "progress", 1, { key: "a" });
    const hub = client(t, node.url);
    const first = [];
    const one = hub.subscribe(channel, { onEvent: ({ offset }) => first.push(offset) });
    await live(one);
    const publishing = (async () => {
      for (let n = 2; n <= 80; n++) await node.publish(channel, "progress", n, { key: "a" });
    })();
    await until(() => first.length > 5, "some events");
    const snapshots = [];
    const second = [];
    const two = hub.subscribe(channel, { onSnapshot: (_, { offset }) => snapshots.push(offset), onEvent: ({ offset }) => second.push(offset) });
    await live(two);
    await publishing;
    await until(() => one.position.offset === 80 && two.position.offset === 80, "both to be there");
    assert.deepEqual(first, range(2, 80));
    assert.equal(snapshots.length, 1);
    assert.deepEqual(second, range(snapshots[0] + 1, 80));
  });

  await t.test("echo false leaves one's own events out, and the position goes on", async (t) => {
    const channel = fresh("doc");
    const ann = client(t, node.url);
    const bob = client(t, node.url, { user: "bob" });
    const seen = [];
    const sub = ann.subscribe(channel, { echo: false, onEvent: ({ payload, conflated = 0 }) => seen.push([payload, conflated]) });
    await live(sub);
    await ann.publish(channel, "note", "mine");
    await ann.publish(channel, "note", "mine too");
    await bob.publish(channel, "note", "his");
    await until(() => seen.length === 1, "bob's");
    assert.deepEqual(seen, [["his", 2]]);
    assert.equal(sub.position.offset, 3);
  });

  await t.test("presence: members by name, their state, joins and leaves", async (t) => {
    const channel = fresh("doc");
    const ann = client(t, node.url, { grants: { info: { name: "Ann" } } });
    const bob = client(t, node.url, { user: "bob" });
    const changes = [];
    const here = ann.subscribe(channel, { presence: { as: "tab-1" }, onPresence: (_, { type }) => changes.push(type) });
    await live(here);
    assert.deepEqual(here.members.map(({ user, as }) => [user, as]), [["ann", "tab-1"]]);
    const there = bob.subscribe(channel, { presence: { as: "tab-9" } });
    await live(there);
    await until(() => here.members.length === 2, "bob's join");
    await there.setPresence({ colour: "red" });
    await until(() => here.members.some(({ state }) => state?.colour === "red"), "bob's state");
    assert.deepEqual((await ann.presence(channel)).map(({ user }) => user).sort(), ["ann", "bob"]);
    there.unsubscribe();
    await until(() => here.members.length === 1, "bob's leave");
    assert.deepEqual([...new Set(changes)], ["list", "join", "update", "leave"]);
  });

  await t.test("the inbox: unread is the same on every device", async (t) => {
    const user = `u${++serial}`;
    const phone = client(t, node.url, { user });
    const laptop = client(t, node.url, { user });
    const subs = [phone, laptop].map((hub) => hub.subscribe(`user:${user}`));
    for (const sub of subs) await live(sub);
    for (const n of [1, 2, 3]) await node.publish(`user:${user}`, "mail", n);
    await until(() => subs.every(({ unread }) => unread === 3), "three unread");
    await subs[0].ack();
    await until(() => subs.every(({ unread }) => unread === 0), "none unread");
    await node.publish(`user:${user}`, "mail", 4);
    await until(() => subs.every(({ unread }) => unread === 1), "one unread");
    const third = client(t, node.url, { user });
    const late = third.subscribe(`user:${user}`);
    await live(late);
    assert.equal(late.unread, 1);
  });

  await t.test("channels of the token come by themselves", async (t) => {
    const channel = fresh("system");
    const hub = client(t, node.url, { grants: { channels: [channel] } });
    const seen = [];
    hub.on("event", ({ payload }) => seen.push(payload));
    await connected(hub);
    await until(async () => {
      const { subscribers } = await (await fetch(`${node.http}/v1/channels/${channel}`, { headers: { authorization: `Bearer ${sign("ann")}` } })).json();
      return subscribers === 1;
    }, "the subscription");
    await node.publish(channel, "notice", "hello");
    await until(() => seen.length === 1, "the event");
    assert.deepEqual(seen, ["hello"]);
  });

  await t.test("cursors: ephemeral, sent without an answer", async (t) => {
    const channel = fresh("cursor");
    const ann = client(t, node.url);
    const bob = client(t, node.url, { user: "bob" });
    const seen = [];
    const sub = bob.subscribe(channel, { onEvent: ({ payload }) => seen.push(payload) });
    await live(sub);
    await connected(ann);
    await ann.publish(channel, "moved", { x: 1 }, { key: "ann", ack: false });
    await until(() => seen.length === 1, "the cursor");
    assert.equal(sub.position, null);
  });

  await t.test("what the hub refuses is a typed error, and nothing else suffers", async (t) => {
    const hub = client(t, node.url, { grants: { subscribe: ["doc:*"], publish: ["doc:*"] } });
    const refused = hub.subscribe(fresh("job"));
    const unknown = hub.subscribe("nowhere:1");
    const good = hub.subscribe(fresh("doc"));
    await live(good);
    await until(() => refused.state.name === "ended" && unknown.state.name === "ended", "both refusals");
    assert.ok(refused.state.error instanceof HubError);
    assert.equal(refused.state.error.code, "forbidden");
    assert.ok(["unknown_namespace", "forbidden"].includes(unknown.state.error.code), unknown.state.error.code);
    await assert.rejects(hub.publish("job:1", "x", 1), { code: "forbidden" });
    await assert.rejects(hub.publish(good.channel, "hub.mine", 1), { code: "bad_message" });
    await assert.rejects(hub.publish(good.channel, "x", "y".repeat(70_000)), { code: "too_large" });
    await assert.rejects(hub.history("cursor:1"), { name: "HubError" });
    assert.equal((await hub.publish(good.channel, "x", 1)).offset, 1);
    assert.deepEqual(hub.states, ["connecting", "connected"]);
  });

  await t.test("a token that is refused twice stops with a clear error", async (t) => {
    // with an origin, as a browser, the hub tells by close codes what it would say with a status; without one it can
    // do so only for a token in the first message, which is why that is the default here
    const origin = { origin: node.http };
    for (const [auth, headers] of [[undefined, {}], ["message", origin], ["subprotocol", origin]]) {
      const reasons = [];
      const hub = client(t, node.url, {
        auth,
        WebSocket: class extends WebSocket {
          constructor(url, protocols) {
            super(url, protocols, headers);
          }
        },
        getToken: ({ reason }) => {
          reasons.push(reason);
          return `${sign("ann")}x`;
        },
      });
      await until(() => hub.state.name === "closed", `the hub to be closed (${auth})`);
      assert.equal(hub.state.why.code, 4202, auth);
      assert.match(hub.state.why.reason, /a new one too/);
      assert.deepEqual(reasons, ["connect", "refused"]);
    }
  });

  await t.test("4201: a token that ran out is renewed first", async (t) => {
    const reasons = [];
    const hub = client(t, node.url, {
      getToken: ({ reason }) => {
        reasons.push(reason);
        // the endpoint fails while the old one runs out, so that the renewal in place cannot save it
        if (reason === "expiring") throw new Error("endpoint down");
        return sign("ann", {}, reasons.length === 1 ? 2 : 3600);
      },
    });
    await connected(hub);
    const sub = hub.subscribe(fresh("doc"));
    await live(sub);
    await until(() => hub.states.filter((name) => name === "connected").length === 2, "the second connection", 30_000);
    assert.equal(reasons.filter((reason) => reason === "refused").length, 1);
    await live(sub);
  });

  await t.test("renewal in place keeps the connection", { timeout: 60_000 }, async (t) => {
    const reasons = [];
    const hub = client(t, node.url, {
      env: { random: () => 0.001 },
      getToken: ({ reason }) => {
        reasons.push(reason);
        return sign("ann", {}, reasons.length === 1 ? 20 : 3600);
      },
    });
    await connected(hub);
    await until(() => reasons.includes("expiring"), "the warning", 30_000);
    const { connection } = hub.state;
    const expired = Date.now() + 21_000;
    await until(() => Date.now() > expired, "the old token to be over", 30_000);
    assert.equal(hub.state.connection, connection);
    assert.deepEqual(hub.states, ["connecting", "connected"]);
    assert.deepEqual(hub.errors, []);
  });

  await t.test("kicked out: closed, and it stays closed", async (t) => {
    const user = `u${++serial}`;
    const hub = client(t, node.url, { user });
    await connected(hub);
    await node.post("/v1/disconnect", { user });
    await until(() => hub.state.name === "closed", "the end");
    assert.equal(hub.state.why.code, 4411);
  });

  await t.test("kicked out with reconnect: back inside the window", async (t) => {
    const user = `u${++serial}`;
    const hub = client(t, node.url, { user });
    await connected(hub);
    await node.post("/v1/disconnect", { user, reconnect: true });
    await until(() => hub.states.length === 5 && hub.state.name === "connected", "the way back", 30_000);
    assert.deepEqual(hub.states, ["connecting", "connected", "reconnecting", "connecting", "connected"]);
  });
});
