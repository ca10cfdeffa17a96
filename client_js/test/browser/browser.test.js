/** The client in headless Chromium against the real hub. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, look, openHub, pages, tab } from "../support/browser.js";
import { Node, Proxy, range, redis, sign, signChannel, sleep, until } from "../support/hub.js";

const saw = (page, count, what = `${count} events`) => until(async () => (await look(page)).seen.length >= count, what, 30_000);
const live = (page) => until(async () => (await look(page)).sub === "live", "the subscription to be live", 30_000);

test("in a browser", { timeout: 400_000 }, async (t) => {
  const context = await browser(t);
  const site = await pages(t);
  const node = await Node.start(t, { env: { HUB_ALLOWED_ORIGINS: JSON.stringify([site.url]) } });
  const proxy = await Proxy.start(t, node.port);
  const publish = (channel, payload) => node.publish(channel, "n", payload);

  for (const entry of ["/src/index.js", "/dist/hub.js"]) {
    await t.test(`runs unbuilt and as a bundle: ${entry}`, async () => {
      const channel = entry.includes("dist") ? "doc:bundle" : "doc:source";
      const page = await tab(context, site, node.url, { channel, entry });
      await live(page);
      const offset = await page.evaluate(async (channel) => (await window.hub.publish(channel, "n", { deep: ["€"] })).offset, channel);
      assert.equal(offset, 1);
      await saw(page, 1);
      assert.deepEqual((await look(page)).seen, [{ deep: ["€"] }]);
      const closed = `${channel}:closed`;
      const tokens = [2, 3600].map((seconds) => signChannel("ann", closed, {}, seconds));
      await page.evaluate(([channel, tokens]) => {
        window.asked = [];
        const getToken = ({ reason }) => (window.asked.push(reason), tokens[Math.min(window.asked.length, 2) - 1]);
        window.guarded = window.hub.subscribe(channel, { getToken, onEvent: ({ payload }) => (window.told = payload) });
      }, [closed, tokens]);
      await until(() => page.evaluate(() => window.asked.length === 2 && window.guarded.state.name === "live"), "a renewed channel token", 30_000);
      await sleep(2000); // past the first one's end
      await publish(closed, "still");
      await until(() => page.evaluate(() => window.told === "still"), "an event of that channel", 30_000);
      assert.deepEqual(page.faults, []);
      await page.close();
    });
  }

  await t.test("reload and resume", async () => {
    const page = await tab(context, site, node.url, { channel: "doc:reload" });
    await live(page);
    await publish("doc:reload", 1);
    await saw(page, 1);
    await page.evaluate(() => sessionStorage.setItem("position", JSON.stringify(window.sub.position)));
    await page.goto("about:blank");
    for (const n of [2, 3]) await publish("doc:reload", n);
    await page.goto(site.url);
    const since = JSON.parse(await page.evaluate(() => sessionStorage.getItem("position")));
    await openHub(page, node.url, { channel: "doc:reload", since, entry: "/src/index.js" });
    await saw(page, 2);
    await publish("doc:reload", 4);
    await saw(page, 3);
    const { seen, gaps } = await look(page);
    assert.deepEqual(seen, [2, 3, 4]);
    assert.deepEqual(gaps, []);
    await page.close();
  });

  await t.test("offline and online", async () => {
    const page = await tab(context, site, proxy.url, { channel: "doc:offline", pongTimeoutMs: 700 });
    await live(page);
    await context.setOffline(true);
    proxy.halfOpen(); // the network is gone for the socket too, and says nothing
    await until(async () => (await look(page)).state === "offline", "the state offline", 20_000);
    for (const n of [1, 2]) await publish("doc:offline", n);
    await context.setOffline(false);
    await saw(page, 2);
    const { seen, states } = await look(page);
    assert.deepEqual(seen, [1, 2]);
    assert.deepEqual(states.slice(-3), ["offline", "connecting", "connected"]);
    await page.close();
  });

  await t.test("a browser that says offline and is wrong: it connects all the same", async () => {
    const page = await context.newPage();
    await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "onLine", { get: () => false }));
    await page.goto(site.url);
    await openHub(page, node.url, { channel: "doc:loopback", entry: "/src/index.js" });
    await live(page);
    assert.deepEqual((await look(page)).states, ["connecting", "connected"]);
    await page.close();
  });

  await t.test("a tab that slept tests its link at once, and resumes", async () => {
    const page = await context.newPage();
    await page.goto(site.url);
    // the clock jumps as it does for a page whose machine slept
    await page.evaluate(() => {
      const now = Date.now.bind(Date);
      window.slept = 0;
      Date.now = () => now() + window.slept;
    });
    await openHub(page, proxy.url, { channel: "doc:sleep", entry: "/src/index.js", pongTimeoutMs: 500, pingAfterMs: 600_000 });
    await live(page);
    proxy.halfOpen();
    await publish("doc:sleep", 1);
    const began = Date.now();
    await page.evaluate(() => (window.slept = 3_600_000));
    await saw(page, 1);
    assert.ok(Date.now() - began < 15_000);
    assert.deepEqual((await look(page)).seen, [1]);
    await page.close();
  });

  await t.test("a hidden tab that is shown again tests its link at once", async () => {
    const page = await tab(context, site, proxy.url, { channel: "doc:hidden", pongTimeoutMs: 500, pingAfterMs: 600_000 });
    await live(page);
    proxy.halfOpen();
    await publish("doc:hidden", 1);
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await saw(page, 1);
    await page.close();
  });

  await t.test("4201 and a renewed token", async () => {
    site.tokens.length = 0;
    site.token = (count) => sign("ann", {}, count === 1 ? 2 : 3600);
    const page = await tab(context, site, node.url, { channel: "doc:token", maxBackoffMs: 500, env: {} });
    await live(page);
    // the endpoint answers nothing of use to a renewal in place, so that the token runs out
    await page.evaluate(() => {
      const { fetch } = window;
      window.fetch = (url) => (url.endsWith("expiring") ? Promise.reject(new Error("down")) : fetch(url));
    });
    await until(async () => (await look(page)).states.filter((name) => name === "connected").length === 2, "the second connection", 40_000);
    await live(page);
    await publish("doc:token", 1);
    await saw(page, 1);
    assert.deepEqual(site.tokens, ["connect", "refused"]);
    site.token = () => sign("ann");
    await page.close();
  });

  await t.test("a token that is refused twice stops, and the page knows why", async () => {
    site.token = () => `${sign("ann")}x`;
    const page = await tab(context, site, node.url, {});
    await until(async () => (await look(page)).state === "closed", "the end", 40_000);
    const why = await page.evaluate(() => ({ code: window.hub.state.why.code, reason: window.hub.state.why.reason }));
    assert.equal(why.code, 4202);
    assert.match(why.reason, /refused, and a new one too/);
    site.token = () => sign("ann");
    await page.close();
  });

  await t.test("an origin that is not allowed is never connected, and the page shows it", async () => {
    const strict = await Node.start(t, { env: { HUB_ALLOWED_ORIGINS: '["https://elsewhere.example"]' } });
    const page = await tab(context, site, strict.url, {});
    await until(async () => (await look(page)).states.length >= 4, "two attempts", 20_000);
    const { states } = await look(page);
    assert.deepEqual([...new Set(states)].sort(), ["connecting", "reconnecting"]);
    await page.close();
  });

  for (const entry of ["/src/index.js", "/dist/hub.js"]) {
    await t.test(`two tabs with one socket, and its take-over: ${entry}`, async () => {
      const channel = entry.includes("dist") ? "doc:tabs-bundle" : "doc:tabs";
      const shared = channel;
      const before = proxy.connections;
      const first = await tab(context, site, proxy.url, { channel, shared, entry });
      await live(first);
      const second = await tab(context, site, proxy.url, { channel, shared, entry });
      await live(second);
      assert.equal(proxy.connections, before + 1, "one socket");
      for (const n of [1, 2, 3]) await publish(channel, n);
      await saw(first, 3);
      await saw(second, 3);
      const published = await second.evaluate(async (channel) => (await window.hub.publish(channel, "n", 4)).offset, channel);
      assert.equal(published, 4);
      let going = true;
      const flow = (async () => {
        let n = 4;
        while (going) await publish(channel, ++n);
        return n;
      })();
      await saw(second, 20);
      await first.close(); // the leader
      await until(() => proxy.connections === before + 2, "the second tab's own socket");
      await saw(second, 60);
      const third = await tab(context, site, proxy.url, { channel, shared, entry });
      await live(third);
      going = false;
      const last = await flow;
      await until(async () => (await look(second)).position.offset === last, "all events");
      assert.deepEqual((await look(second)).seen, range(1, last));
      const { seen, position } = await look(third);
      await until(async () => (await look(third)).position.offset === last, "the third's events");
      assert.deepEqual(seen, range(position.offset - seen.length + 1, position.offset));
      assert.equal(proxy.connections, before + 2);
      await until(() => proxy.open === 1, "one socket");
      for (const page of [second, third]) {
        assert.deepEqual(page.faults, []);
        assert.deepEqual((await look(page)).gaps, []);
        assert.deepEqual((await look(page)).errors, []);
        await page.close();
      }
    });
  }

  for (const [how, stop, go] of [
    ["shows a dialog", async (page) => {
      const dialog = page.waitForEvent("dialog");
      page.on("dialog", () => {}); // nobody answers it yet
      await page.evaluate(() => void setTimeout(() => alert("hello")));
      return dialog;
    }, (dialog) => dialog.accept()],
    ["is frozen", async (page) => {
      const session = await context.newCDPSession(page);
      await session.send("Page.setWebLifecycleState", { state: "frozen" });
      return session;
    }, (session) => session.send("Page.setWebLifecycleState", { state: "active" })],
  ]) {
    await t.test(`the leader's tab ${how}: the other takes over, and both have every event once`, async () => {
      const channel = `doc:${how.replaceAll(" ", "-")}`;
      const first = await tab(context, site, node.url, { channel, shared: channel });
      await live(first);
      const second = await tab(context, site, node.url, { channel, shared: channel });
      await live(second);
      await publish(channel, 1);
      await saw(second, 1);
      const stopped = await stop(first);
      for (const n of [2, 3]) await publish(channel, n);
      await saw(second, 3);
      await go(stopped);
      await publish(channel, 4);
      for (const page of [first, second]) {
        await saw(page, 4);
        assert.deepEqual((await look(page)).seen, [1, 2, 3, 4]);
        assert.deepEqual((await look(page)).errors, []);
        await page.close();
      }
    });
  }

  await t.test("shared: unsubscribing in one tab leaves the other, a refusal reaches the tab that asked", async () => {
    const shared = "refusals";
    const first = await tab(context, site, node.url, { channel: "doc:both", shared });
    await live(first);
    const second = await tab(context, site, node.url, { channel: "doc:both", shared });
    await live(second);
    await first.evaluate(() => window.sub.unsubscribe());
    await publish("doc:both", 1);
    await saw(second, 1);
    assert.deepEqual((await look(first)).seen, []);
    const error = await second.evaluate(async () => {
      const bad = window.hub.subscribe("nowhere:1");
      return new Promise((resolve) => bad.on("state", ({ name, error }) => resolve([name, error.code, error.constructor.name])));
    });
    assert.equal(error[0], "ended");
    assert.equal(error[1], "unknown_namespace");
    assert.equal(await second.evaluate(() => window.hub.publish("nowhere:1", "x", 1).catch(({ code }) => code)), "unknown_namespace");
    const closed = await first.evaluate(() => {
      window.hub.close();
      return window.hub.state.name;
    });
    assert.equal(closed, "closed");
    await until(async () => (await look(second)).state === "connected", "the other tab to take over");
    await publish("doc:both", 2);
    await saw(second, 2);
    assert.deepEqual((await look(second)).seen, [1, 2]);
    for (const page of [first, second]) await page.close();
  });
});

test("a node killed while 1,000 events flow: every event shown once", { timeout: 200_000 }, async (t) => {
  const context = await browser(t);
  const site = await pages(t);
  const broker = await redis(t);
  const env = { HUB_ALLOWED_ORIGINS: JSON.stringify([site.url]) };
  const [a, b] = [await Node.start(t, { broker, env }), await Node.start(t, { broker, env })];
  const proxy = await Proxy.start(t, a.port);
  const page = await tab(context, site, proxy.url, { channel: "doc:kill" });
  // shown, not only received: a line of the page for every event
  await page.evaluate(() => {
    window.sub.on("event", ({ payload }) => {
      const line = document.createElement("p");
      line.textContent = payload;
      document.body.append(line);
    });
  });
  await live(page);
  for (let n = 1; n <= 1000; n++) {
    await b.publish("doc:kill", "n", n);
    if (n === 400) {
      proxy.target = b.port;
      await a.kill();
    }
  }
  await until(async () => (await page.locator("p").count()) >= 1000, "1,000 lines", 40_000);
  assert.deepEqual(await page.locator("p").allTextContents(), range(1, 1000).map(String));
  assert.deepEqual((await look(page)).gaps, []);
  assert.deepEqual(page.faults, []);
});
