/** The address of a hub: the table that Python's client is held to, and what is said of what is none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { absolute } from "../../src/address.js";
import { Hub } from "../../src/index.js";
import { StreamSocket } from "../../src/stream.js";
import { settle } from "../support/clock.js";
import { table } from "../support/golden.js";
import { Wire } from "../support/sockets.js";

/** As if a page were there, or none. */
function at(page, run) {
  const { location } = globalThis;
  globalThis.location = page && { href: page };
  try {
    return run();
  } finally {
    if (location) globalThis.location = location;
    else delete globalThis.location;
  }
}

for (const { given, page, http, socket, refused } of table("addresses")) {
  if (refused) {
    for (const page of [undefined, "https://p/a/b"]) {
      test(`${JSON.stringify(given)} is no address, ${page ? "in a page" : "without a page"}`, () => {
        assert.throws(() => at(page, () => absolute(given)), { code: "address", message: /^no http\(s\):\/\/ or ws\(s\):\/\/ address$/ });
      });
    }
    continue;
  }
  test(`${JSON.stringify(given)}${page ? ` in ${page}` : ""} is ${socket}`, () => {
    const address = at(page, () => absolute(given));
    assert.equal(address.href, socket);
    // where the HTTP stream, and what is asked beside it, is looked for
    assert.equal(address.origin.replace(/^ws/, "http") + address.pathname.replace(/\/[^/]*$/, ""), http);
  });
}

test("an address without a scheme is told when it connects, and nothing is tried", async () => {
  const wire = new Wire();
  const errors = [];
  const hub = new Hub("localhost:8000", { env: wire.env });
  hub.on("error", (error) => errors.push(error));
  await settle();
  assert.deepEqual([hub.state.name, hub.state.why.reason], ["closed", "no http(s):// or ws(s):// address"]);
  assert.deepEqual(errors.map(({ code }) => code), ["address"]);
  await wire.clock.advance(60_000);
  assert.equal(wire.sockets.length, 0);
});

test("an app without a hub under this path is told as such", async (t) => {
  t.mock.method(globalThis, "fetch", async () => Response.json({ detail: "Not Found" }, { status: 404 }));
  const wire = new Wire();
  const socket = new StreamSocket("ws://app.test/elsewhere/ws", ["hub.v1.json", "hub.token.a.b.c"], wire.env, () => {});
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  assert.deepEqual(await closed, { code: 1006, reason: "HTTP 404 from http://app.test/elsewhere, and not by a hub: is it mounted elsewhere?" });
});
