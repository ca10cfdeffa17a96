import { badge, make } from "./jobrows.js";

/** @typedef {import("./jobs.js").Job} Job */
/** @typedef {import("./jobs.js").Told} Told */

const LONG = 4000;

/** @param {number} ms */
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

/** @param {number} ms */
export function span(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 60) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  return s < 3600 ? `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s` : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/** One job, whole: what it is, what it was, and the payload as it came. */
export class Detail {
  element = make("section", "detail");
  /** @type {string | null} */
  id = null;
  #title = make("h3");
  #facts = make("dl", "facts");
  #events = make("ol", "events");
  #payload = make("pre", "payload");
  #close;
  #shown = "";

  /** @param {() => void} close */
  constructor(close) {
    this.#close = /** @type {HTMLButtonElement} */ (make("button", "close"));
    this.#close.type = "button";
    this.#close.textContent = "Close";
    this.#close.addEventListener("click", close);
    const head = make("header");
    head.append(this.#title, this.#close);
    const [what, whole] = ["What happened", "Payload"].map((text) => Object.assign(make("h4"), { textContent: text }));
    this.element.append(head, this.#facts, what, this.#events, whole, this.#payload);
    this.element.tabIndex = -1;
    this.element.hidden = true;
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && close());
  }

  /** @param {string | null} id */
  open(id) {
    this.id = id;
    this.#shown = "";
    this.element.hidden = id === null;
    if (id !== null) this.element.focus({ preventScroll: true });
  }

  /** @param {Job | undefined} job @param {number} now */
  draw(job, now) {
    if (this.id === null) return;
    if (!job) {
      this.#facts.replaceChildren(fact("State", "it left the board"));
      return;
    }
    const ends = job.state === "finished" || job.state === "failed";
    this.#facts.replaceChildren(
      fact("State", badge(job), job.state),
      fact("Id", job.id),
      ...(job.worker ? [fact("Worker", job.worker)] : []),
      ...(job.attempt === null ? [] : [fact("Attempt", String(job.attempt))]),
      fact("First seen", clock(job.began)),
      fact(ends ? "Took" : "For", span((ends ? job.time : now) - (job.ranAt || job.began))),
      fact("Last word", clock(job.time)),
    );
    const last = job.told[job.told.length - 1];
    const shown = `${job.id} ${job.told.length} ${last?.offset} ${last?.time}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#title.textContent = job.name;
    this.element.setAttribute("aria-label", job.name);
    this.#events.replaceChildren(...[...job.told].reverse().map(line));
    this.#payload.textContent = (JSON.stringify(job.payload, null, 2) ?? "").slice(0, LONG);
  }
}

/** @param {string} name @param {string} value @param {string} [state] */
function fact(name, value, state) {
  const pair = make("div");
  const [dt, dd] = [make("dt"), make("dd")];
  dt.textContent = name;
  dd.textContent = value;
  if (state) pair.dataset.state = state;
  pair.append(dt, dd);
  return pair;
}

/** @param {Told} told */
function line({ time, word, progress, note }) {
  const item = make("li");
  item.append(
    Object.assign(make("time"), { textContent: clock(time) }),
    Object.assign(make("b"), { textContent: progress === null ? word : `${word} ${Math.floor(progress)} %` }),
    note,
  );
  return item;
}
