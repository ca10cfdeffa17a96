/**
 * Rows of jobs, of which only those in sight are there: 2,000 jobs are thirty elements, and what changes out of sight
 * costs nothing. The one that has the focus stays, wherever it is scrolled to.
 *
 * @typedef {import("./jobs.js").Job} Job
 * @typedef {{element: HTMLElement, button: HTMLButtonElement, bar: HTMLElement, fill: HTMLElement, badge: HTMLElement,
 *   note: HTMLElement, id: HTMLElement, at: number, of: number, shown: string}} Row
 */
const AROUND = 6;

/** @param {string} tag @param {string} [part] @returns {HTMLElement} */
export function make(tag, part) {
  const element = document.createElement(tag);
  if (part) {
    element.className = part;
    element.setAttribute("part", part);
  }
  return element;
}

/** `12 %`, or the state's word. @param {Job} job */
export const badge = (job) => (job.state === "running" && job.progress !== null ? `${Math.floor(job.progress)} %` : job.word);

export class Rows {
  /** @type {Job[]} */
  #jobs = [];
  /** @type {Map<string, Row>} */
  #rows = new Map();
  #height;
  #scroller;
  #spacer = make("div", "rows");
  #open;
  #active = 0;
  // kept along: asked of the element amid changes, they would lay out the page again
  #top = 0;
  #view = 0;

  /** @param {HTMLElement} scroller @param {number} height Of a row, px. @param {(id: string) => void} open */
  constructor(scroller, height, open) {
    this.#scroller = scroller;
    this.#height = height;
    this.#open = open;
    this.#spacer.setAttribute("role", "list");
    scroller.append(this.#spacer);
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    scroller.addEventListener("keydown", (event) => this.#key(event));
  }

  get count() {
    return this.#jobs.length;
  }

  /** @param {Job[]} jobs */
  set(jobs) {
    this.#jobs = jobs;
    this.#spacer.style.height = `${jobs.length * this.#height}px`;
    this.#active = Math.min(this.#active, Math.max(0, jobs.length - 1));
  }

  #scrolled() {
    this.#top = this.#scroller.scrollTop;
    this.draw();
  }

  /** The scroller is of another height. @param {number} view */
  measured(view) {
    this.#view = view;
    this.draw();
  }

  /** Brings what is in sight up to date. */
  draw() {
    const first = Math.max(0, Math.floor(this.#top / this.#height) - AROUND);
    const last = Math.min(this.#jobs.length, Math.ceil((this.#top + this.#view) / this.#height) + AROUND);
    const seen = new Set();
    for (let at = first; at < last; at++) {
      seen.add(this.#jobs[at].id);
      this.#show(this.#jobs[at], at);
    }
    for (const [id, row] of this.#rows) {
      if (seen.has(id)) continue;
      if (row.button.matches(":focus") && this.#jobs[row.at]?.id === id) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
  }

  /** @param {Job} job @param {number} at */
  #show(job, at) {
    const row = this.#rows.get(job.id) ?? this.#make(job);
    if (row.at !== at) {
      row.at = at;
      row.element.style.transform = `translateY(${at * this.#height}px)`;
      row.element.setAttribute("aria-posinset", String(at + 1));
      row.button.tabIndex = at === this.#active ? 0 : -1;
    }
    if (row.of !== this.#jobs.length) {
      row.of = this.#jobs.length;
      row.element.setAttribute("aria-setsize", String(row.of));
    }
    const progress = job.progress === null ? "" : String(Math.floor(job.progress));
    const shown = `${job.state}\0${job.word}\0${progress}\0${job.note}\0${job.name}`;
    if (row.shown === shown) return;
    row.shown = shown;
    row.element.dataset.state = job.state;
    row.button.textContent = job.name;
    row.badge.textContent = badge(job);
    row.note.textContent = job.note;
    row.bar.hidden = job.progress === null && job.state !== "running";
    row.fill.style.transform = `scaleX(${(job.progress ?? 0) / 100})`;
    row.bar.setAttribute("aria-label", job.name);
    if (progress) row.bar.setAttribute("aria-valuenow", progress);
    else row.bar.removeAttribute("aria-valuenow");
  }

  /** @param {Job} job @returns {Row} */
  #make(job) {
    const element = make("div", "row");
    element.setAttribute("role", "listitem");
    const button = /** @type {HTMLButtonElement} */ (make("button", "name"));
    button.type = "button";
    button.addEventListener("click", () => {
      this.#active = row.at;
      this.#open(job.id);
    });
    const [badge, note, id, bar, fill] = ["badge", "note", "id", "bar", "fill"].map((part) => make("span", part));
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    bar.append(fill);
    id.textContent = job.id;
    element.append(button, id, bar, badge, note);
    this.#spacer.append(element);
    const row = { element, button, bar, fill, badge, note, id, at: -1, of: -1, shown: "" };
    this.#rows.set(job.id, row);
    return row;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const page = Math.max(1, Math.floor(this.#view / this.#height) - 1);
    const end = this.#jobs.length - 1;
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: this.#active + 1, ArrowUp: this.#active - 1, PageDown: this.#active + page, PageUp: this.#active - page, Home: 0, End: end };
    if (!(event.key in steps) || end < 0) return;
    event.preventDefault();
    this.focus(Math.min(end, Math.max(0, steps[event.key])));
  }

  /** Brings a row into sight, and the focus to it. @param {number} at */
  focus(at) {
    for (const row of this.#rows.values()) row.button.tabIndex = -1;
    this.#active = at;
    const top = at * this.#height;
    const { scrollTop, clientHeight } = this.#scroller;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (top + this.#height > scrollTop + clientHeight) this.#scroller.scrollTop = top + this.#height - clientHeight;
    this.#scrolled();
    const row = this.#rows.get(this.#jobs[at].id);
    if (!row) return;
    row.button.tabIndex = 0;
    row.button.focus({ preventScroll: true });
  }

  /** The focus goes back to a job's row, where it still is. @param {string | null} id */
  back(id) {
    const row = id === null ? undefined : this.#rows.get(id);
    row?.button.focus({ preventScroll: true });
  }
}
