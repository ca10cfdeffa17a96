/** The examples are what people copy: they run, against the real hub. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { browser, pages } from "../support/browser.js";
import { Node, Proxy, sign, until } from "../support/hub.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

test("examples", { timeout: 200_000 }, async (t) => {
  const context = await browser(t);
  const site = await pages(t);
  const node = await Node.start(t, { env: { HUB_ALLOWED_ORIGINS: JSON.stringify([site.url]) } });
  const proxy = await Proxy.start(t, node.port);
  const publish = (board, key, state, progress, more = {}) => node.publish(board, "job_status", { state, progress }, { key, ...more });

  /** A board draws the snapshot, the tail, what a cut hid, and the end of a job. */
  async function board(page, name) {
    await page.locator("#badge", { hasText: "connected" }).waitFor();
    await page.locator("#job-41", { hasText: "running" }).waitFor();
    await publish(name, "42", "queued", 0);
    await page.locator("#job-42", { hasText: "queued" }).waitFor();
    proxy.cut();
    await publish(name, "42", "running", 50);
    await page.locator("#job-42", { hasText: "running" }).waitFor();
    assert.equal(await page.locator("#job-42 progress").getAttribute("value"), "50");
    await publish(name, "42", "done", 100, { final: true });
    await page.locator("#job-42", { hasText: "done" }).waitFor();
    assert.equal(await page.locator("#job-42 progress").count(), 0);
    assert.equal(await page.locator("li").count(), 2);
  }

  await t.test("plain DOM", async () => {
    await publish("job:dom", "41", "running", 10);
    const page = await context.newPage();
    await page.goto(`${site.url}/examples/dom.html?hub=${encodeURIComponent(proxy.url)}&board=job:dom`);
    await board(page, "job:dom");
    await page.close();
  });

  await t.test("React", async () => {
    const { outputFiles } = await build({
      absWorkingDir: ROOT,
      entryPoints: ["examples/react.jsx"],
      bundle: true,
      format: "esm",
      jsx: "automatic",
      write: false,
      // the package's own name, as its users write it
      alias: { "notification-hub-client": "./src/index.js", "notification-hub-client/react": "./src/react.js" },
      define: { "process.env.NODE_ENV": '"production"' },
    });
    site.scripts["/react.js"] = outputFiles[0].text;
    site.html["/react.html"] = '<!doctype html><body><script type="module" src="/react.js"></script>';
    for (const name of ["job:react", "job:other"]) await publish(name, "41", "running", 10);
    const page = await context.newPage();
    const faults = [];
    page.on("pageerror", (error) => faults.push(error));
    await page.goto(`${site.url}/react.html?hub=${encodeURIComponent(proxy.url)}&board=job:react`);
    await board(page, "job:react");
    // another channel: the old one is left, the new one begins with its own snapshot
    await page.locator("#channel").fill("job:other");
    await until(async () => (await page.locator("li").count()) === 1, "the other board");
    await publish("job:react", "43", "queued", 0);
    await publish("job:other", "44", "queued", 0);
    await page.locator("#job-44").waitFor();
    assert.equal(await page.locator("#job-43").count(), 0);
    assert.deepEqual(faults, []);
    await page.close();
  });

  await t.test("Node.js", async (t) => {
    await publish("job:node", "41", "running", 10);
    const child = spawn(process.execPath, ["examples/node.mjs", node.url, "job:node"], { cwd: ROOT, env: { ...process.env, HUB_TOKEN: sign("ann") } });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
    t.after(() => child.kill("SIGKILL"));
    await until(() => output.includes('= 41 {"state":"running"'), "the snapshot");
    await publish("job:node", "41", "done", 100);
    await until(() => output.includes('2 job_status {"state":"done"'), "the event");
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGINT");
    assert.equal(await ended, 0);
    assert.match(output, /\n\S+:2\n/);
  });
});
