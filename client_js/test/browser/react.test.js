/** The hooks in headless Chromium, in StrictMode, against the real hub. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { browser, pages } from "../support/browser.js";
import { Node, sign, sleep, until } from "../support/hub.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

async function start(t) {
  const context = await browser(t);
  const site = await pages(t);
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: ["test/browser/pages/hooks.jsx"],
    bundle: true,
    format: "esm",
    jsx: "automatic",
    write: false,
    define: { "process.env.NODE_ENV": '"development"' }, // StrictMode and the profiler
  });
  site.scripts["/hooks.js"] = outputFiles[0].text;
  site.html["/hooks.html"] = '<!doctype html><link rel="icon" href="data:,"><body><script type="module" src="/hooks.js"></script>';
  site.token = (_, { user }) => sign(user);
  const node = await Node.start(t, { env: { HUB_ALLOWED_ORIGINS: JSON.stringify([site.url]) } });
  const open = async (parameters) => {
    const page = await context.newPage();
    page.faults = [];
    page.on("pageerror", (error) => page.faults.push(String(error)));
    page.on("console", (message) => message.type() === "error" && page.faults.push(message.text()));
    await page.goto(`${site.url}/hooks.html?${new URLSearchParams({ hub: node.url, ...parameters })}`);
    return page;
  };
  return { node, open };
}

test("every hook shows what there is, and lets go of it", { timeout: 200_000 }, async (t) => {
  const { node, open } = await start(t);
  await node.publish("job:hooks", "n", 10, { key: "41" });
  await node.publish("user:ann", "n", 1);
  const page = await open({ user: "ann" });
  const shows = (id, text) => page.locator(`#${id}`, { hasText: text }).waitFor();
  await shows("connection", "connected");
  await shows("jobs", /^41=10$/);
  await shows("unread", "1");
  await shows("members", /^ann:null$/);
  await shows("refused", "ended unknown_namespace");
  await shows("events", "live");

  await node.publish("job:hooks", "n", 20, { key: "41" });
  await node.publish("job:hooks", "n", 0, { key: "42" });
  await shows("jobs", /^41=20,42=0$/);
  await node.publish("user:ann", "n", 2);
  await shows("unread", "2");
  await page.locator("#ack").click();
  await shows("unread", "0");
  await page.locator("#publish").click();
  await shows("events", /live mine/);
  assert.deepEqual(await page.evaluate(() => window.counts.heard), ["mine"]);
  assert.equal(await page.evaluate(() => window.publishes.size), 1, "the function stays the same");

  const other = await open({ user: "bob" });
  await shows("members", /^ann:null,bob:null$/);
  await page.locator("#state").click();
  await other.locator("#members", { hasText: /^ann:{"typing":true},bob:null$/ }).waitFor();
  await other.close();
  await shows("members", /^ann:{"typing":true}$/);

  // unmounted in the middle of it, and mounted again: everything as it is now
  await page.evaluate(() => window.show(false));
  await page.locator("#jobs").waitFor({ state: "detached" });
  await node.publish("job:hooks", "n", 99, { key: "41" });
  const standing = async () => (await (await fetch(`${node.http}/v1/connections?user=ann`, { headers: { authorization: `Bearer ${sign("t", { service: true })}` } })).json());
  await until(async () => Object.keys((await standing()).connections?.[0]?.channels ?? {}).length === 0, "its subscriptions to end");
  await page.evaluate(() => window.show(true));
  await shows("jobs", /^42=0,41=99$/);
  assert.deepEqual(page.faults, []);
});

for (const channels of [1, 10]) {
  test(`1,000 events a second to 50 components over ${channels} channel(s): one rendering a frame, nothing lost`, { timeout: 200_000 }, async (t) => {
    const { node, open } = await start(t);
    const page = await open({ channels });
    await page.waitForFunction(() => window.counts.commits > 0);
    await until(async () => {
      await node.post("/v1/batch", { events: Array.from({ length: channels }, (_, c) => ({ channel: `doc:load-${c}`, event: "n", payload: 0 })) });
      return page.evaluate(() => [...document.querySelectorAll("td")].every(({ textContent }) => textContent !== ""));
    }, "all cells to be live", 60_000);
    const before = await page.evaluate(() => ({ ...window.counts, shown: [...window.counts.shown], at: performance.now() }));
    const began = Date.now();
    let sent = 0;
    while (Date.now() - began < 4000) {
      // as many as are due: a slow machine sends larger batches
      const events = Array.from({ length: Math.min(1000, Math.round(Date.now() - began) - sent) }, () => ({ channel: `doc:load-${sent % channels}`, event: "n", payload: ++sent }));
      if (events.length) await node.post("/v1/batch", { events });
      await sleep(20);
    }
    const last = (n) => sent - ((sent - 1 - (n % channels)) % channels + channels) % channels;
    await until(
      () => page.evaluate(() => [...document.querySelectorAll("td")].map(({ textContent }) => Number(textContent))).then((cells) => cells.every((shown, n) => shown === last(n))),
      "the last events to be shown",
      60_000,
    );
    const after = await page.evaluate(() => ({ ...window.counts, at: performance.now() }));
    const seconds = (after.at - before.at) / 1000;
    const commits = (after.commits - before.commits) / seconds;
    const renderings = Math.max(...after.shown.map((count, n) => count - before.shown[n])) / seconds;
    console.log(`${sent} events in ${seconds.toFixed(1)} s to 50 components: ${commits.toFixed(1)} commits a second, ${renderings.toFixed(1)} renderings of the busiest component`);
    assert.ok(sent >= 3000, `${sent} events`);
    assert.ok(commits <= 61 && renderings <= 61, `${commits} commits, ${renderings} renderings a second`);
    assert.ok(commits >= 1);
    assert.deepEqual(page.faults, []);
  });
}
