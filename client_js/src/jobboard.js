/**
 * `<hub-job-board channel="job:demo">`: a board of jobs over one `state` channel, live, by a hub that the page gives it:
 *
 *     import { Hub } from "notification-hub-client";
 *     import "notification-hub-client/job-board";
 *     document.querySelector("hub-job-board").hub = new Hub("/ws", { getToken });
 *
 * Whatever comes is drawn once a frame. Parts for a page's own style: `top counts count search notice failures list row
 * name note bar fill badge fold detail link state timeline figures`.
 */
import { Detail, clock } from "./jobdetail.js";
import { LinkLog } from "./joblink.js";
import { Rows, make } from "./jobrows.js";
import { STYLE } from "./jobstyle.js";
import { Jobs } from "./jobs.js";

/** @typedef {import("./jobs.js").State} State */
/** @typedef {import("./types.js").HubState} HubState */

const ROW = 46;
const TICK_MS = 100;
const CLOCK_MS = 30_000;
const SPEAK_MS = 5000;
const HIDEABLE = /** @type {State[]} */ (["running", "queued", "other", "finished"]);
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {});

/** @param {number} value */
const number = (value) => value.toLocaleString("en");

/** @type {CSSStyleSheet | undefined} */
let sheet;

export class HubJobBoard extends Base {
  static observedAttributes = ["channel"];
  /** @type {import("./client.js").Hub | null} */
  #hub = null;
  /** @type {import("./subscription.js").Subscription | null} */
  #subscription = null;
  #jobs = new Jobs();
  #link = new LinkLog();
  /** @type {Set<State>} */
  #shown = new Set(/** @type {State[]} */ (["running", "queued", "other"]));
  #search = "";
  /** @type {(() => void)[]} */
  #leave = [];
  #ready = false;
  #frame = 0;
  #drawn = -1;
  #due = 0;
  #asked = 0;
  /** @type {string} */
  #error = "";
  /** @type {any} */
  #parts;
  #spoken = { at: 0, failed: -1, state: "" };
  #lastHeard = 0;

  /** The connection that the board listens by. It is the page's: the board never closes it. */
  get hub() {
    return this.#hub;
  }

  set hub(hub) {
    this.#stop();
    this.#hub = hub;
    if (this.isConnected) this.#start();
  }

  get channel() {
    return this.getAttribute("channel") ?? "";
  }

  set channel(name) {
    this.setAttribute("channel", name);
  }

  connectedCallback() {
    this.#parts ??= this.#build();
    this.#start();
  }

  disconnectedCallback() {
    this.#stop();
  }

  attributeChangedCallback() {
    if (!this.#parts) return;
    this.#stop();
    this.#start();
  }

  #start() {
    const hub = this.#hub;
    if (!hub || !this.channel || this.#subscription || !this.#parts) return this.#soon();
    const state = (/** @type {HubState} */ state) => this.#linked(state);
    this.#linked(hub.state);
    this.#leave.push(hub.on("state", state));
    this.#subscription = hub.subscribe(this.channel, {
      onSnapshot: (events, position) => {
        this.#jobs.replace(events);
        this.#link.snapshot(events.length, position);
        this.#ready = true;
        this.#soon();
      },
      onEvent: (event) => {
        this.#lastHeard = event.time;
        this.#link.came(event);
        if (event.type === "key_deleted") this.#jobs.remove(event.key ?? "");
        else this.#jobs.apply(event);
        this.#soon();
      },
      onGap: (gap) => this.#link.gap(gap),
      onState: ({ name, error }) => {
        this.#ready ||= name === "live";
        if (name === "live") this.#link.live();
        this.#error = error?.message ?? "";
        this.#soon();
      },
    });
    const timer = setInterval(() => this.#tick(), TICK_MS);
    this.#leave.push(() => clearInterval(timer));
  }

  #stop() {
    for (const leave of this.#leave.splice(0)) leave();
    this.#subscription?.unsubscribe();
    this.#subscription = null;
    this.#jobs = new Jobs();
    this.#link = new LinkLog();
    this.#ready = false;
    this.#error = "";
    this.#drawn = -1;
    this.#asked = 0;
  }

  /** @param {HubState} state */
  #linked(state) {
    this.#link.state(state);
    this.#due = state.name === "reconnecting" ? Date.now() + state.inMs : 0;
    this.#showLink();
    this.#soon();
  }

  /** Ten times a second: the countdown, figures, and now and then the hub's clock. */
  #tick() {
    const hub = /** @type {import("./client.js").Hub} */ (this.#hub);
    const now = Date.now();
    if (hub.state.name === "connected" && now - this.#asked > CLOCK_MS) {
      this.#asked = now;
      const link = this.#link;
      hub.ping().then((time) => link.clock(time, now), () => {});
    }
    this.#showLink();
    this.#parts.detail.draw(this.#jobs.get(this.#parts.detail.id), now);
    this.#speak(now);
  }

  #soon() {
    if (!this.#frame && this.#parts && this.isConnected) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #build() {
    const root = this.attachShadow({ mode: "open" });
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
    }
    root.adoptedStyleSheets = [sheet];
    const [top, counts, notice, failures, list, empty, link, state, timeline, figures, spoken] = ["top", "counts", "notice", "failures", "list", "empty", "link", "state", "timeline", "figures", "spoken"].map((part) => make("div", part));
    const search = /** @type {HTMLInputElement} */ (make("input", "search"));
    Object.assign(search, { type: "search", placeholder: "Search jobs", ariaLabel: "Search jobs" });
    search.addEventListener("input", () => this.#filter(() => (this.#search = search.value)));
    const fold = make("button", "fold");
    fold.addEventListener("click", () => this.#filter(() => this.#toggle("finished")));
    const past = make("details", "past");
    const [summary, entries] = [make("summary"), make("ol")];
    past.append(summary, entries);
    const detail = new Detail(() => this.#open(null));
    counts.setAttribute("role", "group");
    counts.setAttribute("aria-label", "Jobs by state");
    failures.setAttribute("role", "region");
    failures.setAttribute("aria-label", "Failed jobs");
    timeline.setAttribute("role", "img");
    spoken.setAttribute("aria-live", "polite");
    list.tabIndex = -1;
    const chips = new Map(/** @type {State[]} */ (["failed", ...HIDEABLE]).map((each) => [each, this.#chip(each)]));
    top.append(counts, search);
    counts.append(...chips.values());
    link.append(state, timeline, figures, past);
    root.append(top, notice, failures, list, empty, fold, detail.element, link, spoken);
    const rows = new Rows(list, ROW, (id) => this.#open(id));
    const failed = new Rows(failures, ROW, (id) => this.#open(id));
    const resize = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) (target === list ? rows : failed).measured(contentRect.height);
    });
    resize.observe(list);
    resize.observe(failures);
    return { counts, notice, failures, list, empty, fold, state, timeline, figures, summary, entries, spoken, detail, rows, failed, chips };
  }

  /** @param {State} state */
  #chip(state) {
    const chip = /** @type {HTMLButtonElement} */ (make("button", "count"));
    chip.type = "button";
    chip.dataset.state = state;
    chip.append(make("b"), state);
    chip.addEventListener("click", () => {
      if (state === "failed") return this.#parts.failed.count && this.#parts.failed.focus(0);
      this.#filter(() => this.#toggle(state));
    });
    return chip;
  }

  /** @param {State} state */
  #toggle(state) {
    if (!this.#shown.delete(state)) this.#shown.add(state);
  }

  /** @param {() => void} change */
  #filter(change) {
    change();
    this.#drawn = -1;
    this.#parts.list.scrollTop = 0;
    this.#soon();
  }

  /** @param {string | null} id */
  #open(id) {
    const { detail, rows, failed } = this.#parts;
    const before = detail.id;
    detail.open(id);
    if (id !== null) return detail.draw(this.#jobs.get(id), Date.now());
    for (const each of [failed, rows]) each.back(before);
  }

  #draw() {
    this.#frame = 0;
    const { rows, failed, failures, chips, fold, empty, notice } = this.#parts;
    const { counts, generation, size } = this.#jobs;
    if (this.#drawn !== generation) {
      this.#drawn = generation;
      // what failed is always in sight, whatever is searched for
      failed.set(this.#jobs.list(new Set(/** @type {State[]} */ (["failed"])), ""));
      rows.set(this.#jobs.list(this.#shown, this.#search));
      failures.hidden = !counts.failed;
      failures.style.height = `${Math.min(4, counts.failed) * ROW + 1}px`;
      for (const [state, chip] of chips) {
        put(chip.firstChild, number(counts[/** @type {State} */ (state)]));
        chip.hidden = state === "other" && !counts.other;
        const pressed = state === "failed" ? null : String(this.#shown.has(state));
        if (chip.ariaPressed !== pressed) chip.ariaPressed = pressed;
      }
      const open = this.#shown.has("finished");
      fold.hidden = !counts.finished;
      fold.setAttribute("aria-expanded", String(open));
      put(fold, `${open ? "▾ Fold" : "▸ Show"} ${number(counts.finished)} finished`);
    } else if (this.#search) {
      rows.set(this.#jobs.list(this.#shown, this.#search));
    }
    rows.draw();
    failed.draw();
    const { name } = this.#hub?.state ?? { name: "idle" };
    empty.hidden = rows.count > 0;
    const why = !this.#hub || !this.#ready ? (this.#error || "Waiting for the snapshot…")
      : this.#search ? "No job matches." : size ? (counts.finished ? "Nothing waits and nothing runs." : "No job of these states.") : "No jobs yet. The first one appears here by itself.";
    put(empty, why);
    notice.hidden = !(this.#error || (this.#ready && name !== "connected"));
    if (!notice.hidden) put(notice, this.#error || this.#away(name));
  }

  /** @param {string} name */
  #away(name) {
    const as = this.#lastHeard ? `What is shown is as of ${clock(this.#lastHeard)}` : "What is shown may be old";
    return `${name === "offline" ? "This device is offline." : "The connection is gone."} ${as}; what is missed meanwhile comes when it is back.`;
  }

  #showLink() {
    const { state, timeline, figures, summary, entries } = this.#parts;
    const { name } = this.#hub?.state ?? { name: "idle" };
    const left = Math.max(0, this.#due - Date.now());
    put(state, name === "reconnecting" ? `reconnecting in ${(left / 1000).toFixed(1)} s` : name);
    state.dataset.link = name;
    const link = this.#link;
    const rate = link.tick();
    const lost = link.lost ? `${number(link.lost)} LOST` : "none lost";
    const latency = link.latency === null ? "" : ` · ${Math.round(link.latency)} ms`;
    put(figures, `${number(link.events)} events, ${lost}${link.twice ? `, ${number(link.twice)} twice` : ""} · ${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s${latency}`);
    const [last] = link.entries;
    if (last && entries.firstChild?.dataset.at !== `${last.time}${last.text}`) {
      put(summary, last.text);
      entries.replaceChildren(...link.entries.map(entry));
    }
    this.#showTimeline(timeline);
  }

  /** @param {HTMLElement} timeline */
  #showTimeline(timeline) {
    const now = Date.now();
    if (now - Number(timeline.dataset.at ?? 0) < 500) return;
    timeline.dataset.at = String(now);
    const pieces = this.#link.pieces().map(({ at, width, up }) => piece(at, width, up ? "" : "away"));
    const losses = this.#link.losses.filter((time) => now - time < 600_000).map((time) => piece(1 - (now - time) / 600_000, 0.004, "loss"));
    timeline.replaceChildren(...pieces, ...losses);
    const away = pieces.filter((each) => each.className).length;
    timeline.ariaLabel = `The last ten minutes of the connection: away ${away} times, ${losses.length} gaps that the snapshot filled`;
  }

  /** What changed, in a sentence, every few seconds at most. @param {number} now */
  #speak(now) {
    const { failed, running } = this.#jobs.counts;
    const { name } = this.#hub?.state ?? { name: "idle" };
    const { at, failed: before, state } = this.#spoken;
    if (!this.#ready || now - at < SPEAK_MS || (failed === before && name === state)) return;
    const link = name === state ? "" : `${name}. `;
    const more = before >= 0 && failed > before ? `${failed - before} more failed: ` : "";
    this.#spoken = { at: now, failed, state: name };
    put(this.#parts.spoken, `${link}${more}${running} running, ${failed} failed`);
  }
}

/** @param {HTMLElement} element @param {string} text */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {number} at @param {number} width @param {string} kind */
function piece(at, width, kind) {
  const element = make("i", kind || undefined);
  element.style.left = `${(100 * at).toFixed(2)}%`;
  element.style.width = `${(100 * width).toFixed(2)}%`;
  return element;
}

/** @param {import("./joblink.js").Entry} entry */
function entry({ time, kind, text }) {
  const item = make("li");
  item.dataset.kind = kind;
  item.dataset.at = `${time}${text}`;
  item.append(Object.assign(make("time"), { textContent: clock(time) }), text);
  return item;
}

if (globalThis.customElements && !customElements.get("hub-job-board")) customElements.define("hub-job-board", HubJobBoard);
