// A plot of 15 minutes: a line, its scale, and the value under the pointer or the arrow keys.
import { clock, h, rate, svg } from "./dom.js";

const W = 300;
const H = 64;
const STEP_MS = 5000;

/** A round number at or above the highest. */
function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((each) => each * power >= value) * power;
}

export class Plot {
  /** @param {string} title @param {string} unit @param {(live) => {end, points}} read */
  constructor(title, unit, read) {
    Object.assign(this, { title, unit, read, at: null });
    this.value = h("strong");
    this.where = h("span", { class: "faint" });
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "line" });
    this.mark = svg("line", { class: "mark", y1: 0, y2: H, visibility: "hidden" });
    this.top = h("span", { class: "top" });
    const drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.area, this.line, this.mark);
    this.element = h("figure", { class: "plot", tabIndex: 0, role: "group", onkeydown: (event) => this.#key(event), onblur: () => this.#point(null) },
      h("figcaption", null, h("span", null, title), h("span", { class: "value" }, this.value, ` ${unit}`)),
      h("div", { class: "canvas", onpointermove: (event) => this.#move(event), onpointerleave: () => this.#point(null) }, drawing, this.top),
      h("div", { class: "axis" }, h("span", null, "15 min ago"), this.where, h("span", null, "now")));
  }

  draw(live) {
    const { end, points } = this.read(live);
    Object.assign(this, { end, points });
    const known = points.filter((each) => each !== null);
    const high = ceiling(Math.max(0, ...known));
    const x = (n) => ((n * W) / (points.length - 1)).toFixed(1);
    const y = (value) => (H - 2 - ((H - 6) * value) / high).toFixed(1);
    let line = "";
    let area = "";
    let from = null;
    points.forEach((value, n) => {
      if (value === null) return void (from = null);
      line += `${from === null ? "M" : "L"}${x(n)} ${y(value)}`;
      if (from === null) area += `M${x(n)} ${H}`;
      area += `L${x(n)} ${y(value)}`;
      from = n;
      if (points[n + 1] == null) area += `L${x(n)} ${H}Z`;
    });
    this.line.setAttribute("d", line);
    this.area.setAttribute("d", area);
    this.top.textContent = rate(high);
    this.#point(this.at);
    const last = known.at(-1) ?? 0;
    this.element.setAttribute("aria-label", `${this.title}: ${rate(last)} ${this.unit} now, between ${rate(Math.min(...known, last))} and ${rate(Math.max(...known, last))} in the last 15 minutes`);
  }

  #move(event) {
    const box = event.currentTarget.getBoundingClientRect();
    this.#point(Math.round(((event.clientX - box.left) / box.width) * (this.points.length - 1)));
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.#point(Math.min(this.points.length - 1, Math.max(0, (this.at ?? this.points.length - 1) + step)));
  }

  #point(at) {
    this.at = at;
    const value = this.points?.[at ?? this.points.length - 1];
    this.value.textContent = value == null ? "–" : rate(value);
    this.mark.setAttribute("visibility", at === null ? "hidden" : "visible");
    if (at === null) return void (this.where.textContent = "");
    const x = (at * W) / (this.points.length - 1);
    this.mark.setAttribute("x1", x);
    this.mark.setAttribute("x2", x);
    this.where.textContent = clock(this.end - (this.points.length - 1 - at) * STEP_MS);
  }
}
