/** The board of jobs in Debian's Firefox: a page that looks at itself, and says what it saw. No driver is needed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { PAGE, fakeHub } from "../support/board.js";
import { pages } from "../support/browser.js";
import { until } from "../support/hub.js";

/** Runs in the page. */
async function look() {
  const turns = (count) => new Promise((done) => (function next() { count-- ? requestAnimationFrame(next) : done(); })());
  fake.state({ name: "connected", connection: "c", user: "u" });
  fake.snapshot([
    ...Array.from({ length: 2000 }, (_, n) => fake.event(`j${n}`, { name: `Job ${n}`, state: "running", progress: 1 })),
    fake.event("bad", { name: "Failed one", state: "failed" }),
    fake.event("odd", 17),
    fake.event("done", { name: "Done one", state: "succeeded" }),
  ]);
  await turns(3);
  const root = fake.board.shadowRoot;
  const rows = () => [...root.querySelectorAll(".list .row")];
  const seen = { rows: rows().length, first: rows()[0].querySelector(".name").textContent, failed: root.querySelector(".failures .name").textContent, fold: root.querySelector(".fold").textContent };
  fake.tell("j0", { name: "Job 0", state: "running", progress: 60 });
  await turns(3);
  const bar = rows()[0].querySelector("[role=progressbar]");
  Object.assign(seen, { now: bar.getAttribute("aria-valuenow"), fill: Math.round((100 * bar.firstChild.getBoundingClientRect().width) / bar.getBoundingClientRect().width) });
  rows()[0].querySelector(".name").focus();
  root.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "End", bubbles: true, composed: true }));
  await turns(3);
  Object.assign(seen, { last: root.activeElement.textContent, height: getComputedStyle(rows()[0]).height });
  fake.state({ name: "reconnecting", inMs: 60_000, why: { reason: "cut" } });
  await turns(3);
  seen.state = root.querySelector(".state").textContent;
  await fetch(`/token?reason=${encodeURIComponent(JSON.stringify(seen))}`);
}

test("in Firefox", { timeout: 180_000 }, async (t) => {
  const site = await pages(t);
  site.html["/board"] = `${PAGE}<script type="module">(${fakeHub})().then(${look}).catch((error) => fetch("/token?reason=" + encodeURIComponent(JSON.stringify({ error: String(error) }))));</script>`;
  const profile = mkdtempSync(join(tmpdir(), "hub-firefox-"));
  const child = spawn(process.env.FIREFOX_BIN ?? "firefox-esr", ["--headless", "--no-remote", "--profile", profile, "--window-size", "1100,800", `${site.url}/board`], { stdio: "ignore", env: { ...process.env, HOME: profile } });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let missing;
  child.once("error", (error) => (missing = error));
  t.after(async () => {
    child.kill("SIGKILL");
    if (!missing) await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  await until(() => {
    if (missing) throw missing;
    return site.tokens.length;
  }, "Firefox to say what it saw", 90_000);
  const { rows, ...seen } = JSON.parse(site.tokens[0]);
  assert.ok(rows > 5 && rows < 60, `${rows} rows`);
  assert.match(seen.state, /^reconnecting in (60\.0|59\.\d) s$/);
  delete seen.state;
  assert.deepEqual(seen, { first: "Job 0", failed: "Failed one", fold: "▸ Show 1 finished", now: "60", fill: 60, last: "job_status", height: "46px" });
});
