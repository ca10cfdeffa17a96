import { createServer } from "node:http";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { sign } from "./hub.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TYPES = { ".js": "text/javascript", ".html": "text/html" };
const CHROMIUM = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";

/** A headless Chromium of the test's own, ended with it. */
export async function browser(t) {
  if (!existsSync(CHROMIUM)) throw new Error(`these tests need Chromium: there is no ${CHROMIUM} (CHROMIUM_BIN names another)`);
  const profile = mkdtempSync(join(tmpdir(), "hub-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
  t.after(async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return context;
}

/** The pages' server: the client's own files, a bare page, and `/token`, whose answers the test chooses. */
export async function pages(t) {
  /** Pages of the test's own, by path. */
  const site = { token: () => sign("ann"), tokens: [], html: { "/": "<!doctype html><title>test</title><body></body>" }, scripts: {} };
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    if (pathname === "/token") {
      site.tokens.push(searchParams.get("reason"));
      return response.end(site.token(site.tokens.length, Object.fromEntries(searchParams)));
    }
    if (site.html[pathname]) return response.setHeader("content-type", "text/html").end(site.html[pathname]);
    if (site.scripts[pathname]) return response.setHeader("content-type", "text/javascript").end(site.scripts[pathname]);
    const file = join(ROOT, pathname);
    if (!file.startsWith(ROOT) || !existsSync(file)) return response.writeHead(404).end();
    response.setHeader("content-type", TYPES[extname(file)] ?? "text/plain").end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  site.url = `http://127.0.0.1:${server.address().port}`;
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return site;
}

/** A tab with a hub in it: `window.hub`, and what it saw in `window.seen`, `gaps`, `states`, `errors`. */
export async function tab(context, site, url, { channel, since, entry = "/src/index.js", ...options }) {
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(error));
  await page.goto(site.url);
  await openHub(page, url, { channel, since, entry, ...options });
  return page;
}

export function openHub(page, url, given) {
  return page.evaluate(
    async ({ url, channel, since, entry, ...options }) => {
      const { Hub } = await import(entry);
      const made = { seen: [], gaps: [], states: [], errors: [] };
      const hub = new Hub(url, {
        getToken: async ({ reason }) => (await fetch(`/token?reason=${reason}`)).text(),
        minBackoffMs: 50,
        ...options,
      });
      hub.on("state", ({ name }) => made.states.push(name));
      hub.on("error", (error) => made.errors.push(String(error)));
      if (channel) {
        made.sub = hub.subscribe(channel, {
          since,
          onEvent: ({ payload }) => made.seen.push(payload),
          onGap: (gap) => made.gaps.push(gap),
        });
      }
      Object.assign(window, made, { hub });
    },
    { url, ...given },
  );
}

/** What the tab saw. */
export const look = (page) =>
  page.evaluate(() => ({
    seen: window.seen,
    gaps: window.gaps,
    states: window.states,
    errors: window.errors,
    state: window.hub.state.name,
    sub: window.sub?.state.name,
    position: window.sub?.position,
  }));
