import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { BUNDLES, bundle } from "../../build.mjs";

const ROOT = new URL("../../", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("package.json", ROOT), "utf8"));

for (const [file, entry] of Object.entries(BUNDLES)) {
  test(`${file} is what npm run build makes of ${entry}`, async () => {
    assert.ok((await bundle(entry)).equals(readFileSync(new URL(file, ROOT))), "run npm run build");
  });
}

test("the client is 8.5 KB at most, minified and gzipped", () => {
  const size = gzipSync(readFileSync(new URL("dist/hub.js", ROOT)), { level: 9 }).length;
  console.log(`dist/hub.js: ${size} bytes gzipped`);
  assert.ok(size <= 8704, `${size} bytes`);
});

test("it depends on nothing, and its types come first", () => {
  assert.equal(manifest.dependencies, undefined);
  for (const [name, { types, ...rest }] of Object.entries(manifest.exports).map(([name, value]) => [name, value])) {
    assert.match(types, /\.d\.ts$/, name);
    assert.deepEqual(Object.keys(manifest.exports[name])[0], "types", name);
    assert.ok(readFileSync(new URL(rest.default, ROOT)).length > 0, name);
  }
});

test("sources import only each other", () => {
  for (const file of readdirSync(new URL("src/", ROOT))) {
    const source = readFileSync(new URL(`src/${file}`, ROOT), "utf8");
    for (const [, from] of source.matchAll(/^(?:import|export) .*from "([^"]+)"/gm)) assert.match(from, /^\.\/[a-z]+\.js$/, file);
  }
});

test("the types hold under tsc --strict, and a user's program compiles against them", () => {
  const tsc = fileURLToPath(new URL("node_modules/typescript/bin/tsc", ROOT));
  const run = (...args) => execFileSync(process.execPath, [tsc, ...args], { cwd: fileURLToPath(ROOT), encoding: "utf8" });
  run("-p", "tsconfig.json");
  run("-p", "tsconfig.types.json");
  run("-p", "test/types/tsconfig.json");
});

test("the bundle works by itself", async () => {
  const { Hub, HubError } = await import("../../dist/hub.js");
  assert.equal(typeof Hub, "function");
  assert.ok(new HubError("x", "y") instanceof Error);
});
