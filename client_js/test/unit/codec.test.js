import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { json } from "../../src/codec.js";
import { Hub } from "../../src/index.js";
import { msgpack } from "../../src/msgpack.js";
import { settle } from "../support/clock.js";
import { Wire } from "../support/sockets.js";

const GOLDEN = new URL("../../../tests/golden/", import.meta.url);
const buffer = (hex) => new Uint8Array(Buffer.from(hex, "hex")).buffer;
const roundtrip = (value) => msgpack.decode(msgpack.encode(value).buffer);

for (const file of readdirSync(GOLDEN).filter((name) => name.endsWith(".json"))) {
  const frames = JSON.parse(readFileSync(new URL(file, GOLDEN), "utf8"));
  test(`golden ${file}`, () => {
    assert.ok(frames.length > 0);
    for (const { name, json: text, msgpack_hex } of frames) {
      const message = json.decode(text);
      assert.equal(json.encode(message), text, name);
      assert.deepEqual(msgpack.decode(buffer(msgpack_hex)), message, name);
      assert.equal(Buffer.from(msgpack.encode(message)).toString("hex"), msgpack_hex, name);
    }
  });
}

test("every size of every kind survives", () => {
  const values = [null, true, false, 0.5, -1.5e300, "", "ü€😀", [], {}, { __proto__: null, a: [{}] }];
  for (const power of [0, 5, 7, 8, 15, 16, 31, 32, 52, 53]) {
    for (const near of [-1, 0, 1]) for (const sign of [1, -1]) values.push(sign * (2 ** power + near) || 0);
  }
  for (const length of [15, 16, 31, 32, 255, 256, 65_535, 65_536]) {
    values.push("x".repeat(length), Array.from({ length }, () => 1), Object.fromEntries(Array.from({ length }, (_, n) => [`k${n}`, n])));
  }
  for (const value of values) assert.deepEqual(roundtrip(value), value && typeof value === "object" && !Array.isArray(value) ? { ...value } : value);
});

test("encodes what JSON.stringify would", () => {
  const odd = { a: undefined, b: NaN, c: [undefined, Infinity], d: new Date(0), e: () => 1, f: -0 };
  assert.deepEqual(roundtrip(odd), JSON.parse(JSON.stringify(odd)));
  assert.throws(() => msgpack.encode({ a: 1n }), /bigint is no value of JSON/);
});

test("keys of a map never reach a prototype", () => {
  const message = roundtrip(JSON.parse('{"__proto__":{"polluted":true}}'));
  assert.equal(message.polluted, undefined);
  assert.equal({}.polluted, undefined);
});

test("bytes that are no message are refused", () => {
  for (const [hex, why] of [
    ["", /too early/], ["81", /too early/], ["a5616263", /too early/], ["c1", /0xc1/], ["c403010203", /0xc4/],
    ["d40100", /0xd4/], ["8101c0", /keys must be strings/], ["c0c0", /more bytes/], ["ddffffffff", /too early/],
    ["a2c328", /valid/i],
  ]) assert.throws(() => msgpack.decode(buffer(hex)), why, hex);
  assert.throws(() => msgpack.decode("{}"), /text frame/);
  assert.throws(() => json.decode(new ArrayBuffer(1)), /binary frame/);
});

test("a hub that speaks MessagePack", async () => {
  const wire = new Wire();
  const hub = new Hub("wss://hub.test/ws", { env: wire.env, codec: msgpack });
  const seen = [];
  hub.subscribe("job:1", { onEvent: (event) => seen.push(event.payload) });
  await settle();
  assert.deepEqual(wire.last.protocols, ["hub.v1.msgpack"]);
  wire.last.opens();
  const say = (message) => wire.last.receives(msgpack.encode(message).buffer);
  say({ type: "hub.welcome", connection: "c", user: "ann", limits: { message_bytes: 100, channels: 8 } });
  const [bytes] = wire.last.sent;
  assert.deepEqual(msgpack.decode(bytes.buffer), { type: "subscribe", id: 1, channel: "job:1" });
  say({ type: "hub.subscribed", id: 1, channel: "job:1", epoch: "e", offset: 0 });
  say({ type: "moved", channel: "job:1", offset: 1, id: "e_1", time: 1, payload: { state: "läuft" } });
  assert.deepEqual(seen, [{ state: "läuft" }]);
  await assert.rejects(hub.publish("job:1", "n", "x".repeat(100)), { code: "too_large" });
});
