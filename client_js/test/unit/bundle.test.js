import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { BUNDLES, bundle } from "../../build.mjs";

const ROOT = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, ROOT), "utf8");
const manifest = JSON.parse(read("package.json"));

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

test("the board of jobs is 12 KB at most, minified and gzipped, and needs nothing of the client", () => {
  const file = readFileSync(new URL("dist/job-board.js", ROOT));
  const size = gzipSync(file, { level: 9 }).length;
  console.log(`dist/job-board.js: ${size} bytes gzipped`);
  assert.ok(size <= 12_288, `${size} bytes`);
  assert.doesNotMatch(file.toString(), /\bimport\b/);
});

test("it depends on nothing (React only where it is used), its types come first, and all that it names is there", () => {
  assert.equal(manifest.dependencies, undefined);
  assert.deepEqual(manifest.peerDependenciesMeta, { react: { optional: true } });
  for (const [name, target] of Object.entries(manifest.exports)) {
    if (typeof target === "string") continue;
    assert.match(target.types, /\.d\.ts$/, name);
    assert.deepEqual(Object.keys(target)[0], "types", name);
    for (const path of Object.values(target)) assert.ok(existsSync(new URL(path, ROOT)), path);
  }
});

test("the metadata that npm shows is complete, and the licence is the project's", () => {
  for (const field of ["name", "version", "description", "keywords", "license", "author", "engines", "exports", "files"]) {
    assert.ok(manifest[field], field);
  }
  assert.equal(read("LICENSE"), read("../LICENSE"));
});

test("the version is the project's", () => {
  assert.match(read("../hub/__init__.py"), new RegExp(`^__version__ = "${manifest.version}"$`, "m"));
  assert.equal(JSON.parse(read("package-lock.json")).version, manifest.version);
});

test("sources import only each other, but for the hooks", () => {
  for (const file of readdirSync(new URL("src/", ROOT))) {
    for (const [, from] of read(`src/${file}`).matchAll(/^(?:import|export) .*from "([^"]+)"/gm)) {
      if (file !== "react.js" || from !== "react") assert.match(from, /^\.\/[a-z]+\.js$/, file);
    }
  }
});

test("the sources are what the declarations promise, and a user's program compiles against them under --strict", () => {
  const tsc = fileURLToPath(new URL("node_modules/typescript/bin/tsc", ROOT));
  for (const project of ["tsconfig.json", "test/types/tsconfig.conforms.json", "test/types/tsconfig.json"]) {
    execFileSync(process.execPath, [tsc, "-p", project], { cwd: fileURLToPath(ROOT), encoding: "utf8" });
  }
});

test("the hooks are for the browser's side of a server-rendered page, and say so first", () => {
  assert.match(read("src/react.js"), /^"use client";\n/);
});

test("the bundle works by itself", async () => {
  const { Hub, HubError } = await import("../../dist/hub.js");
  assert.equal(typeof Hub, "function");
  assert.ok(new HubError("x", "y") instanceof Error);
});

test("the bundle loads what brings a channel's token, and its errors are the bundle's", async () => {
  const { Hub, HubError } = await import("../../dist/hub.js");
  const errors = [];
  const hub = new Hub("wss://hub.test/ws", { autoConnect: false });
  hub.on("error", (error) => errors.push(error));
  const sub = hub.subscribe("doc:7", { getToken: () => "no token: it has spaces" });
  await new Promise((resolve) => sub.on("state", resolve));
  assert.deepEqual([sub.state.name, sub.state.error.code, errors.length], ["ended", "token", 1]);
  assert.ok(sub.state.error instanceof HubError);
});
