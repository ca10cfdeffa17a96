// Elements, times and numbers. Text is always set as text: what others chose (names, payloads) is never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else if (name in element && !name.includes("-") && element.namespaceURI !== SVG) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

/** An element: `h("p", { class: "faint" }, "text", child)`. */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);
export const $ = (id) => document.getElementById(id);

/** A table: `columns` are [title, kind?], rows lists of cells. */
export function table(caption, columns, rows, empty = "nothing") {
  const head = columns.map(([title, kind]) => h("th", { scope: "col", class: kind }, title));
  const lines = rows.map((cells) =>
    h("tr", null, cells.map((cell, at) => h(at ? "td" : "th", { class: columns[at][1], scope: at ? undefined : "row", "data-title": columns[at][0] }, cell ?? "–"))),
  );
  if (!lines.length) lines.push(h("tr", { class: "none" }, h("td", { colSpan: columns.length }, empty)));
  return h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption },
    h("table", null, h("caption", null, caption), h("thead", null, h("tr", null, head)), h("tbody", null, lines)));
}

export const number = (value) => (value ?? 0).toLocaleString("en");
export const rate = (value) => (value >= 100 ? number(Math.round(value)) : value >= 10 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, ""));
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
export const moment = (ms) => `${new Date(ms).toLocaleDateString("en-CA")} ${clock(ms)}`;

/** Seconds in words of one or two units. */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s % 60 ? ` ${s % 60} s` : ""}`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function bytes(value) {
  return value < 10_000 ? `${number(value)} B` : value < 10_000_000 ? `${rate(value / 1000)} kB` : `${rate(value / 1e6)} MB`;
}

export function pretty(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** Told to everybody, screen readers included, for a while. */
export function say(text, kind = "good") {
  const line = h("p", { class: `said ${kind}` }, text);
  $("said").append(line);
  setTimeout(() => line.remove(), 6000);
}

/** What went wrong, where it happened. */
export const complaint = (error) => h("p", { class: "complaint", role: "alert" }, error.message);

/** Asks before something that can't be taken back. */
export function confirmed(title, text, yes) {
  const dialog = $("ask");
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

/** A labelled field of a form. */
export function field(label, input, hint) {
  return h("label", { class: "field" }, h("span", null, label), input, hint && h("small", null, hint));
}
