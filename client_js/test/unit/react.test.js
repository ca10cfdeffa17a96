import assert from "node:assert/strict";
import { test } from "node:test";
import { Hub } from "../../src/index.js";
import { follow } from "../../src/react.js";
import { settle } from "../support/clock.js";
import { Wire } from "../support/sockets.js";

const event = (offset, key) => ({ type: "moved", channel: "job:1", offset, id: `e_${offset}`, time: 1, key, payload: offset });

async function following(options) {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env });
  const views = [];
  const stop = follow(hub, "job:1", options, (view) => views.push(view));
  const socket = await wire.welcome();
  const say = (message) => socket.receives({ channel: "job:1", ...message });
  say({ type: "hub.subscribed", id: socket.lastSent.id, epoch: "e", offset: 2, snapshot: [event(1, "a"), event(2, "b")] });
  await settle();
  return { wire, socket, say, views, stop };
}

const shape = ({ events, byKey, state }) => [state, events.map(({ offset }) => offset), [...byKey].map(([key, { offset }]) => [key, offset])];

test("the snapshot, then what follows: one rendering a turn, the newest of each key", async () => {
  const { socket, views } = await following({ limit: 3 });
  assert.equal(views.length, 1);
  assert.deepEqual(shape(views[0]), ["live", [1, 2], [["a", 1], ["b", 2]]]);
  for (const offset of [3, 4, 5]) socket.receives(event(offset, "a"));
  await settle();
  assert.equal(views.length, 2);
  assert.deepEqual(shape(views[1]), ["live", [3, 4, 5], [["a", 5], ["b", 2]]]);
  assert.deepEqual(shape(views[0]), ["live", [1, 2], [["a", 1], ["b", 2]]], "what was shown does not change");
});

test("a gap is shown until a snapshot heals it", async () => {
  const { say, views } = await following({});
  say({ type: "hub.gap", from: 3, to: 4, cause: "backplane", filled: false });
  await settle();
  assert.deepEqual(views.at(-1).gap, { from: 3, to: 4, cause: "backplane" });
  say({ type: "hub.resubscribe", epoch: "f", offset: 1, gap: { from: 1, to: 1, cause: "epoch" }, snapshot: [event(1, "a")] });
  await settle();
  assert.equal(views.at(-1).gap, null);
  assert.deepEqual(shape(views.at(-1)), ["live", [1], [["a", 1]]]);
});

test("nothing is shown after the end", async () => {
  const { socket, views, stop } = await following({});
  socket.receives(event(3, "a"));
  stop();
  await settle();
  assert.equal(views.length, 1);
  assert.deepEqual(socket.lastSent.type, "unsubscribe");
});
