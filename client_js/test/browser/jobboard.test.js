/** `<hub-job-board>` in headless Chromium, as somebody sees it and hears it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE, fakeHub } from "../support/board.js";
import { browser, pages } from "../support/browser.js";
import { until } from "../support/hub.js";

test("a board of jobs", { timeout: 240_000 }, async (t) => {
  const context = await browser(t);
  const site = await pages(t);
  site.html["/board"] = PAGE;
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(error));
  await page.setViewportSize({ width: 1100, height: 700 });
  await page.goto(`${site.url}/board`);
  await page.evaluate(fakeHub);
  const connected = { name: "connected", connection: "c", user: "u" };
  const board = page.locator("hub-job-board");
  const part = (name) => board.locator(`.${name}`);
  const names = () => board.locator(".list .row").evaluateAll((rows) => rows.map((row) => [row.ariaPosInSet, row.querySelector(".name").textContent]).sort((a, b) => a[0] - b[0]).map(([, name]) => name));
  const shows = (locator, text) => until(async () => (await locator.textContent())?.match(text), `${text}`);

  await t.test("waits, is empty, then shows the snapshot: running first, failed apart, finished folded", async () => {
    await shows(part("empty"), /Waiting for the snapshot/);
    await page.evaluate((state) => (fake.state(state), fake.snapshot([])), connected);
    await shows(part("empty"), /No jobs yet/);
    await page.evaluate(() => fake.snapshot([
      fake.event("1", { name: "Queued one", state: "queued" }),
      fake.event("2", { name: "Running one", state: "running", progress: 40, note: "rows read", worker: "w7" }),
      fake.event("3", { name: "Failed one", state: "failed", note: "the disk is full" }),
      fake.event("4", { name: "Done one", state: "succeeded" }, { final: true }),
      fake.event("5", 17),
    ]));
    await until(async () => (await names()).length === 3, "three rows");
    assert.deepEqual(await names(), ["Running one", "Queued one", "job_status"]);
    assert.equal(await part("failures").locator(".name").textContent(), "Failed one");
    const counts = await part("count").evaluateAll((chips) => chips.map((chip) => chip.textContent));
    assert.deepEqual(counts, ["1failed", "1running", "1queued", "1other", "1finished"]);
    assert.equal(await part("fold").getAttribute("aria-expanded"), "false");
    await part("fold").click();
    await until(async () => (await names()).includes("Done one"), "the finished one");
    await part("fold").click();
  });

  await t.test("progress has its role, and changes without a new row", async () => {
    const bar = board.getByRole("progressbar", { name: "Running one" });
    assert.equal(await bar.getAttribute("aria-valuenow"), "40");
    await page.evaluate(() => fake.tell("2", { name: "Running one", state: "running", progress: 60, note: "rows read" }));
    await until(async () => (await bar.getAttribute("aria-valuenow")) === "60", "60 %");
  });

  await t.test("a search narrows the list, and never hides what failed", async () => {
    await board.getByRole("searchbox").fill("queued");
    await until(async () => (await names()).join() === "Queued one", "one row");
    assert.ok(await part("failures").locator(".name").isVisible());
    await board.getByRole("searchbox").fill("nothing like it");
    await shows(part("empty"), /No job matches/);
    await board.getByRole("searchbox").fill("");
  });

  await t.test("by keyboard: rows by arrows, a job's detail by Enter, back by Escape", async () => {
    await board.locator(".list .name", { hasText: "Running one" }).focus();
    await page.keyboard.press("ArrowDown");
    const focused = () => page.evaluate(() => fake.board.shadowRoot.activeElement?.textContent);
    assert.equal(await focused(), "Queued one");
    await page.keyboard.press("Home");
    await page.keyboard.press("Enter");
    const detail = part("detail");
    await shows(detail, /w7/);
    const told = await detail.locator(".events b").allTextContents();
    assert.deepEqual(told, ["running 60 %", "running 40 %"]);
    assert.match(await detail.locator(".payload").textContent(), /"progress": 60/);
    await page.keyboard.press("Escape");
    assert.ok(await detail.isHidden());
    assert.equal(await focused(), "Running one");
  });

  await t.test("a link that is gone: a countdown, since when, and what came back", async () => {
    await page.evaluate(() => fake.state({ name: "reconnecting", inMs: 60_000, why: { reason: "the link is cut" } }));
    await shows(part("notice"), /The connection is gone.*comes when it is back/);
    const left = async () => Number((await part("state").textContent()).match(/^reconnecting in (\d+\.\d) s$/)?.[1]);
    const before = await left();
    await until(async () => (await left()) < before, "a countdown");
    await page.evaluate(() => fake.state({ name: "offline" }));
    await shows(part("notice"), /This device is offline/);
    await page.evaluate((state) => (fake.state(state), fake.told.onState({ name: "live" })), connected);
    await shows(part("past"), /back after .* s/);
    assert.ok(await part("notice").isHidden());
    await page.evaluate(() => fake.told.onGap({ from: 6, to: 9, cause: "trimmed" }));
    await shows(part("past"), /events 6 to 9 are gone \(trimmed\)/);
    await shows(part("spoken"), /running, 1 failed/);
  });

  await t.test("10,000 jobs are a screen of rows; the last one is reached, and what changes is what is seen", async () => {
    await page.evaluate(() => fake.snapshot(Array.from({ length: 10_000 }, (_, n) => fake.event(`j${n}`, { name: `Job ${n}`, state: "running", progress: 1 }))));
    await until(async () => (await names())[0] === "Job 0", "the first one");
    assert.ok((await names()).length < 40);
    await board.locator(".list .name").first().focus();
    await page.keyboard.press("End");
    await until(async () => (await names()).at(-1) === "Job 9999", "the last one");
    const row = board.locator(".list .row", { hasText: "Job 9999" });
    assert.equal(await row.getAttribute("aria-setsize"), "10000");
    await page.evaluate(() => {
      for (let n = 0; n < 10_000; n++) fake.tell(`j${n}`, { name: `Job ${n}`, state: "running", progress: 50 });
    });
    await until(async () => (await row.locator(".badge").textContent()) === "50 %", "50 %");
  });

  await t.test("on a phone the detail covers the board; taken out of the page, it leaves the channel", async () => {
    await page.setViewportSize({ width: 390, height: 800 });
    await board.locator(".list .name").last().click();
    const box = await part("detail").boundingBox();
    assert.ok(box.width > 370, `${box.width}`);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    await page.keyboard.press("Escape");
    assert.equal(await page.evaluate(() => (fake.board.remove(), fake.left)), 1);
  });

  assert.deepEqual(faults, []);
});
