// npm run bench:board: frames a second of a board with 2,000 jobs and 500 updates a second, in headless Chromium; and what
// the page's thread spends of a core on it, by Chromium's own account (CPU time, so that a busy machine does not count).
import { PAGE, fakeHub } from "../support/board.js";
import { browser, pages } from "../support/browser.js";

const ends = [];
const t = { after: (end) => ends.unshift(end) };
try {
  const context = await browser(t);
  const site = await pages(t);
  site.html["/board"] = PAGE;
  const page = await context.newPage();
  await page.setViewportSize({ width: 1100, height: 800 });
  await page.goto(`${site.url}/board`);
  await page.evaluate(fakeHub);
  const devtools = await context.newCDPSession(page);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  const spent = async () => Object.fromEntries((await devtools.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));
  for (const rate of [0, 500, 2000]) {
    const before = await spent();
    const found = await page.evaluate(async (rate) => {
      fake.state({ name: "connected", connection: "c", user: "u" });
      fake.snapshot(Array.from({ length: 2000 }, (_, n) => fake.event(`j${n}`, { name: `Job ${n}`, state: ["running", "queued"][n % 2], progress: 1, note: "rows read" })));
      const states = ["running", "running", "running", "running", "running", "running", "queued", "succeeded", "failed", "running"];
      const warm = performance.now() + 2000; // until the page's code is compiled
      const end = warm + 8000;
      let told = 0;
      let busy = 0;
      const began = performance.now();
      const timer = setInterval(() => {
        const due = ((performance.now() - began) / 1000) * rate;
        const start = performance.now();
        for (; told < due; told++) fake.tell(`j${(told * 7) % 2000}`, { name: `Job ${(told * 7) % 2000}`, state: states[(told + 3 * Math.floor(told / 2000)) % 10], progress: told % 100, note: `row ${told}` }); // in the next round each job is in another state
        busy += performance.now() - start;
      }, 4);
      const frames = [];
      await new Promise((done) => {
        let before = performance.now();
        requestAnimationFrame(function frame(now) {
          if (now > warm) frames.push(now - before);
          before = now;
          if (now < end) requestAnimationFrame(frame);
          else done();
        });
      });
      clearInterval(timer);
      frames.sort((a, b) => a - b);
      const total = frames.reduce((sum, each) => sum + each, 0);
      const whole = total + 2000;
      return { told, fps: (1000 * frames.length) / total, median: frames[frames.length >> 1], p99: frames[Math.floor(frames.length * 0.99)], busyMsPerSecond: (1000 * busy) / whole };
    }, rate);
    const after = await spent();
    const share = (...names) => ((100 * names.reduce((sum, name) => sum + after[name] - before[name], 0)) / 10).toFixed(1);
    console.log(`${rate} updates/s: ${found.fps.toFixed(1)} frames/s, a frame ${found.median.toFixed(1)} ms (median), ${found.p99.toFixed(1)} ms (p99); ${found.told} told, which took ${found.busyMsPerSecond.toFixed(1)} ms of each second`);
    console.log(`  of a core: ${share("TaskDuration")} %, of it ${share("ScriptDuration")} % script, ${share("RecalcStyleDuration", "LayoutDuration")} % style and layout`);
  }
} finally {
  for (const end of ends) await end();
}
