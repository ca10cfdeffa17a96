import assert from "node:assert/strict";
import { test } from "node:test";
import { LinkLog } from "../../src/joblink.js";
import { Jobs, read } from "../../src/jobs.js";

let offset = 0;
const event = (key, payload, more = {}) => ({ type: "job_status", channel: "job:x", id: `e${++offset}`, time: offset * 1000, offset, key, payload, ...more });
const ids = (jobs, states, search = "") => jobs.list(new Set(states), search).map(({ id }) => id);

test("what a payload says of a job, in the words of several publishers", () => {
  const { id, name, state, word, progress, note, worker, attempt } = read(event("7", { name: "Import", state: "running", progress: 41.5, note: "rows", worker: "w1", attempt: 2 }));
  assert.deepEqual({ id, name, state, word, progress, note, worker, attempt }, { id: "7", name: "Import", state: "running", word: "running", progress: 41.5, note: "rows", worker: "w1", attempt: 2 });
  for (const [payload, wanted] of [
    [{ status: "PENDING" }, "queued"], [{ status: "SUCCESS" }, "finished"], [{ state: "Failure" }, "failed"], [{ status: "retry" }, "running"], ["started", "running"],
  ]) assert.equal(read(event("a", payload)).state, wanted, JSON.stringify(payload));
  assert.equal(read(event("a", { state: "running", progress: { done: 3, total: 4 } })).progress, 75);
  assert.equal(read(event("a", { state: "succeeded" })).progress, 100);
  assert.equal(read(event("a", {}, { final: true })).state, "finished");
});

test("a payload that is no job is shown as what it is, and nothing throws", () => {
  for (const payload of [null, 3, "", true, [], [1], {}, { state: {} }, { name: 5, progress: "x" }, { progress: NaN }, { progress: { done: 1, total: 0 } }, { progress: 1e9, state: "running" }, { name: "n".repeat(10_000) }]) {
    const found = read(event("k", payload));
    assert.equal(found.id, "k");
    assert.ok(found.name.length <= 200 && found.name !== "");
    assert.ok(found.progress === null || (found.progress >= 0 && found.progress <= 100), JSON.stringify(payload));
  }
  assert.equal(read(event("k", null)).state, "other");
  assert.equal(read({ ...event(undefined, 3), id: "e_9" }).id, "e_9");
});

test("counts follow every change; running ones stand in the order in which they began, what is over newest first", () => {
  const jobs = new Jobs();
  for (const id of ["a", "b", "c"]) jobs.apply(event(id, { state: "queued" }));
  jobs.apply(event("b", { state: "running", progress: 1 }));
  jobs.apply(event("a", { state: "running", progress: 1 }));
  jobs.apply(event("b", { state: "running", progress: 2 }));
  assert.deepEqual(jobs.counts, { failed: 0, running: 2, queued: 1, other: 0, finished: 0 });
  assert.deepEqual(ids(jobs, ["running", "queued"]), ["b", "a", "c"]);
  const { generation } = jobs;
  jobs.apply(event("a", { state: "running", progress: 3 }));
  assert.equal(jobs.generation, generation, "progress changes no order");
  jobs.apply(event("b", { state: "failed", note: "the disk is full" }));
  jobs.apply(event("a", { state: "failed" }));
  assert.deepEqual(ids(jobs, ["failed"]), ["a", "b"]);
  assert.deepEqual(ids(jobs, ["failed"], "DISK"), ["b"]);
  jobs.remove("a");
  assert.deepEqual(jobs.counts, { failed: 1, running: 0, queued: 1, other: 0, finished: 0 });
});

test("a snapshot is all there is, and what was seen of a job before stays with it", () => {
  const jobs = new Jobs();
  jobs.apply(event("a", { state: "queued", worker: "w1" }));
  jobs.apply(event("b", { state: "queued" }));
  jobs.replace([event("a", { state: "running" })]);
  assert.equal(jobs.size, 1);
  assert.deepEqual(jobs.get("a").told.map(({ word }) => word), ["queued", "running"]);
  assert.ok(jobs.get("a").began < jobs.get("a").time);
  for (let n = 0; n < 100; n++) jobs.apply(event("a", { state: "running", progress: n }));
  assert.equal(jobs.get("a").told.length, 40, "bounded");
});

test("the link's log: away, back, what came meanwhile, what was lost, how late events are", () => {
  let now = 1_000_000;
  const log = new LinkLog(() => now);
  const came = (offset, time, more) => log.came({ type: "t", channel: "c", id: "e", payload: 0, offset, time, ...more });
  log.state({ name: "connected", connection: "c1", user: "u" });
  log.clock(now + 500_000, now); // the hub's clock is 500 s ahead
  log.snapshot(3, { epoch: "e", offset: 10 });
  came(11, now + 500_000 - 40);
  assert.equal(log.latency, 40);
  now += 2000;
  log.state({ name: "reconnecting", inMs: 100, why: { reason: "cut" } });
  now += 3000;
  log.state({ name: "connected", connection: "c2", user: "u" });
  now += 5000;
  log.tick();
  log.live();
  came(12, now + 500_000 - 7500);
  came(14, now + 500_000 - 6000, { conflated: 1 });
  now += 800;
  log.tick();
  assert.deepEqual(log.entries.map(({ text }) => text), ["back after 3.0 s: 2 missed events came", "cut", "the snapshot holds 3 jobs"]);
  came(17, now + 500_000);
  came(17, now + 500_000);
  assert.deepEqual([log.events, log.lost, log.twice], [5, 2, 1]);
  log.gap({ from: 18, to: 20, cause: "trimmed" });
  assert.match(log.entries[0].text, /^events 18 to 20 are gone \(trimmed\)/);
  const pieces = log.pieces();
  assert.deepEqual(pieces.map(({ up }) => up), [true, false, true]);
  assert.ok(pieces.every(({ at, width }) => at >= 0 && width >= 0 && at + width <= 1.000001));
});
