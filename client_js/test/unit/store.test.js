import assert from "node:assert/strict";
import { test } from "node:test";
import { Hub } from "../../src/index.js";
import { EMPTY, access } from "../../src/store.js";
import { settle } from "../support/clock.js";
import { Wire } from "../support/sockets.js";

const event = (offset, key) => ({ type: "moved", channel: "job:1", offset, id: `e_${offset}`, time: 1, key, payload: offset });
/** A frame of a world without frames: the next turn. */
const frame = () => new Promise((resolve) => setTimeout(resolve, 5));

async function following(options = {}) {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env });
  const views = [];
  const store = access(hub, "job:1", options);
  assert.equal(store.view(), EMPTY);
  const stop = store.subscribe(() => views.push(store.view()));
  const socket = await wire.welcome();
  const say = (message) => socket.receives({ channel: "job:1", ...message });
  say({ type: "hub.subscribed", id: socket.lastSent.id, epoch: "e", offset: 2, snapshot: [event(1, "a"), event(2, "b")] });
  await frame();
  return { wire, hub, store, socket, say, views, stop };
}

const shape = ({ events, byKey, state }) => [state, events.map(({ offset }) => offset), [...byKey].map(([key, { offset }]) => [key, offset])];

test("the snapshot, then what follows: shown once a frame, the newest of each key", async () => {
  const { socket, views } = await following({ limit: 3 });
  assert.equal(views.length, 1);
  assert.deepEqual(shape(views[0]), ["live", [1, 2], [["a", 1], ["b", 2]]]);
  assert.equal(views[0].ready, true);
  for (const offset of [3, 4, 5]) socket.receives(event(offset, "a"));
  await frame();
  assert.equal(views.length, 2);
  assert.deepEqual(shape(views[1]), ["live", [3, 4, 5], [["a", 5], ["b", 2]]]);
  assert.deepEqual(shape(views[0]), ["live", [1, 2], [["a", 1], ["b", 2]]], "what was shown does not change");
});

test("what is shown is the same object until it changes", async () => {
  const { store, say, views } = await following();
  assert.equal(store.view(), store.view());
  say({ type: "hub.acked", epoch: "e", offset: 0, unread: 2 });
  await frame();
  assert.equal(store.view(), views.at(-1));
  assert.equal(store.view().unread, 2);
});

test("a gap is shown until a snapshot heals it", async () => {
  const { say, views } = await following();
  say({ type: "hub.gap", from: 3, to: 4, cause: "backplane", filled: false });
  await frame();
  assert.deepEqual(views.at(-1).gap, { from: 3, to: 4, cause: "backplane" });
  say({ type: "hub.resubscribe", epoch: "f", offset: 1, gap: { from: 1, to: 1, cause: "epoch" }, snapshot: [event(1, "a")] });
  await frame();
  assert.equal(views.at(-1).gap, null);
  assert.deepEqual(shape(views.at(-1)), ["live", [1], [["a", 1]]]);
});

test("a cut: what is known stays, and is said to wait", async () => {
  const { socket, views } = await following();
  socket.closes(1006);
  await frame();
  assert.deepEqual(shape(views.at(-1)), ["waiting", [1, 2], [["a", 1], ["b", 2]]]);
  assert.equal(views.at(-1).ready, true);
});

test("components that ask for the same share one subscription; others have their own", async () => {
  const { hub, socket, stop } = await following();
  const views = { same: 0, other: 0 };
  const same = access(hub, "job:1", {}).subscribe(() => views.same++);
  socket.receives(event(3, "a"));
  await frame();
  assert.deepEqual(views, { same: 1, other: 0 });
  assert.equal(socket.of("subscribe").length, 1);
  const other = access(hub, "job:1", { maxRate: 2 }).subscribe(() => views.other++);
  await settle();
  assert.equal(socket.of("subscribe").length, 2);
  for (const end of [stop, same, other]) end();
  await frame();
  assert.deepEqual(socket.of("unsubscribe").map(({ channel }) => channel), ["job:1"]);
});

test("mounted, unmounted and mounted again in one turn (StrictMode): one subscription, which stays", async () => {
  const { socket, store, stop } = await following();
  stop();
  const heard = [];
  const end = store.listen(({ offset }) => heard.push(offset));
  await frame();
  socket.receives(event(3, "a"));
  assert.deepEqual(heard, [3]);
  assert.equal(socket.of("subscribe").length, 1);
  assert.equal(socket.of("unsubscribe").length, 0);
  end();
  await frame();
  assert.equal(socket.of("unsubscribe").length, 1);
});

test("nothing is shown after the end", async () => {
  const { socket, views, stop, store } = await following();
  socket.receives(event(3, "a"));
  stop();
  await frame();
  assert.equal(views.length, 1);
  assert.equal(socket.lastSent.type, "unsubscribe");
  assert.equal(store.view(), EMPTY);
});

test("no channel: nothing is subscribed", async () => {
  const { hub, socket } = await following();
  const none = access(hub, null, {});
  none.subscribe(() => assert.fail("nothing changes"))();
  none.listen(() => {})();
  assert.equal(none.view(), EMPTY);
  assert.equal(none.subscription(), undefined);
  await frame();
  assert.equal(socket.of("subscribe").length, 1);
});

test("memory is bounded by the limit, whatever comes between two frames", async () => {
  const { socket, views } = await following({ limit: 10 });
  for (let offset = 3; offset < 5000; offset++) socket.receives(event(offset, "a"));
  await frame();
  assert.equal(views.at(-1).events.length, 10);
  assert.equal(views.at(-1).events.at(-1).offset, 4999);
});
