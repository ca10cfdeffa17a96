// A shared whiteboard: strokes are stored, so that a newcomer sees the drawing; cursors are not, and only their
// last place counts; who is here, with a name and a colour, is presence.
import { Hub } from "/client/hub.js";

const BOARD = "doc:whiteboard";
const CURSORS = "cursor:whiteboard";
const EVERY_MS = 50; // between two places of one's cursor, and two pieces of a stroke
const COLOURS = ["#2266d9", "#c62f2f", "#16803c", "#c27c0e", "#8a3ffc", "#00838f", "#d02670", "#5c6670"];
const WIDTH = 5;
const NAMES = ["Ada", "Alan", "Barbara", "Dennis", "Edsger", "Grace", "Leslie", "Radia", "Tim", "Vint"];
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const hex = (bytes) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((b) => b.toString(16).padStart(2, "0")).join("");

// Who I am: of this window, and the same after a reload. A copy of a window gets a copy of its storage, though,
// so the name in the list of members is another one for each page.

function kept(name, make) {
  const value = sessionStorage.getItem(name) ?? make();
  sessionStorage.setItem(name, value);
  return value;
}

const user = kept("user", () => `guest-${hex(4)}`);
const tab = hex(4);
const me = { name: kept("name", () => pick(NAMES)), colour: kept("colour", () => pick(COLOURS)) };
const mine = []; // strokes of this page, the last one last: undone in that order

// Strokes

const strokes = new Map(); // id → polyline

function draw({ id, colour, width = WIDTH, points }) {
  let line = strokes.get(id);
  if (!line) {
    line = document.createElementNS(SVG, "polyline");
    line.setAttribute("stroke", colour);
    line.setAttribute("stroke-width", width);
    strokes.set(id, line);
    $("strokes").append(line);
  }
  line.setAttribute("points", `${line.getAttribute("points") ?? ""} ${points.join(" ")}`);
}

function erase(id) {
  strokes.get(id)?.remove();
  strokes.delete(id);
}

function wipe() {
  strokes.clear();
  mine.length = 0;
  $("strokes").replaceChildren();
}

function apply({ type, payload }) {
  if (type === "clear") wipe();
  else if (type === "undo") erase(payload?.id);
  else if (type === "stroke" && Array.isArray(payload?.points)) draw(payload);
}

/** The drawing so far, in pages from its beginning; answers the position behind it. */
async function load() {
  let { epoch } = await hub.history(BOARD, { limit: 1 });
  let offset = 0;
  for (let more = true; more; ) {
    const page = await hub.history(BOARD, { since: { epoch, offset }, limit: 1000 });
    page.events.forEach(apply);
    ({ epoch, more } = page);
    offset = page.events.at(-1)?.offset ?? page.offset;
  }
  return { epoch, offset };
}

// Cursors

const cursors = new Map(); // tab → {element, name, colour}

function moveCursor({ key, payload }) {
  if (payload === null) return removeCursor(key);
  const cursor = cursors.get(key) ?? newCursor(key);
  cursor.style.transform = `translate(${payload[0]}px, ${payload[1]}px)`;
}

function newCursor(key) {
  const cursor = document.createElementNS(SVG, "g");
  const arrow = document.createElementNS(SVG, "path");
  const label = document.createElementNS(SVG, "text");
  arrow.setAttribute("d", "M0 0 L0 28 L8 21 L19 20 Z");
  label.setAttribute("x", 22);
  label.setAttribute("y", 36);
  cursor.append(arrow, label);
  cursors.set(key, cursor);
  $("cursors").append(cursor);
  dress(key);
  return cursor;
}

function removeCursor(key) {
  cursors.get(key)?.remove();
  cursors.delete(key);
}

/** A cursor wears the name and the colour of its member. */
function dress(key) {
  const { name = "", colour = "#888888" } = board?.members.find((member) => member.as === key)?.state ?? {};
  cursors.get(key)?.setAttribute("fill", colour);
  const label = cursors.get(key)?.querySelector("text");
  if (label) label.textContent = name;
}

// Who is here

function showMembers(members) {
  const items = members.map(({ as, state }) => {
    const item = document.createElement("li");
    item.style.setProperty("--tone", state?.colour ?? "#888888");
    item.append(state?.name ?? "somebody");
    if (as === tab) item.append(Object.assign(document.createElement("span"), { className: "me", textContent: "you" }));
    return item;
  });
  $("members").replaceChildren(...items);
  $("count").textContent = members.length;
  const present = new Set(members.map(({ as }) => as));
  for (const key of [...cursors.keys()]) present.has(key) ? dress(key) : removeCursor(key);
}

function introduce() {
  me.name = $("name").value.trim() || me.name;
  me.colour = $("colour").value;
  sessionStorage.setItem("name", me.name);
  sessionStorage.setItem("colour", me.colour);
  showSwatches();
  board?.setPresence({ ...me }).catch(complain);
}

// The pen

function showSwatches() {
  for (const swatch of $("swatches").children) swatch.ariaChecked = String(swatch.value === me.colour);
}

function makeSwatches() {
  const swatches = COLOURS.map((value) => {
    const swatch = Object.assign(document.createElement("button"), { type: "button", value, ariaLabel: value });
    swatch.setAttribute("role", "radio");
    swatch.style.setProperty("--tone", value);
    swatch.addEventListener("click", () => {
      $("colour").value = value;
      introduce();
    });
    return swatch;
  });
  $("swatches").replaceChildren(...swatches);
}

/** One's own last stroke goes, for everybody. */
function undo() {
  if (pen.id) up();
  const id = mine.pop();
  if (!id) return;
  erase(id);
  hub.publish(BOARD, "undo", { id }).catch(complain);
}

async function clear() {
  const ask = $("ask");
  ask.returnValue = "no";
  ask.showModal();
  await new Promise((resolve) => ask.addEventListener("close", resolve, { once: true }));
  if (ask.returnValue !== "yes") return;
  wipe();
  hub.publish(BOARD, "clear", null).catch(complain);
}

const pen = { id: null, width: WIDTH, points: [], last: null, place: null, timer: null };

function placeOf({ clientX, clientY }) {
  const point = new DOMPoint(clientX, clientY).matrixTransform($("board").getScreenCTM().inverse());
  return [Math.round(point.x), Math.round(point.y)];
}

function down(event) {
  if (event.button !== 0) return;
  $("board").setPointerCapture(event.pointerId);
  pen.id = hex(6);
  pen.width = Number($("width").value);
  mine.push(pen.id);
  pen.last = null;
  add(placeOf(event));
}

function move(event) {
  pen.place = placeOf(event);
  if (pen.id) add(pen.place);
  pen.timer ??= setTimeout(send, EVERY_MS);
}

function add(point) {
  const points = pen.last ? [pen.last.join()] : [];
  draw({ id: pen.id, colour: me.colour, width: pen.width, points: [...points, point.join()] });
  pen.points.push(point.join());
  pen.last = point;
}

/** What came together since the last time: one place of the cursor, and one piece of the stroke. */
function send() {
  clearTimeout(pen.timer);
  pen.timer = null;
  hub.publish(CURSORS, "place", pen.place, { key: tab, ack: false }).catch(complain);
  if (pen.points.length === 0) return;
  hub.publish(BOARD, "stroke", { id: pen.id, colour: me.colour, width: pen.width, points: pen.points }).catch(complain);
  pen.points = [];
}

function up() {
  if (!pen.id) return;
  send();
  pen.id = null;
}

function leave() {
  pen.place = null;
  send();
}

// The link

async function getToken() {
  const response = await fetch(`/demo/whiteboard/token?user=${user}`, { method: "POST" });
  if (!response.ok) throw new Error(`no token: HTTP ${response.status}`);
  return (await response.json()).token;
}

let due = 0;

function showState() {
  const { name } = hub.state;
  const text = name === "reconnecting" ? `reconnecting in ${(Math.max(0, due - Date.now()) / 1000).toFixed(1)} s` : name;
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").dataset.state = name;
}

function complain(error) {
  console.error(error.message);
  $("state").title = error.message;
}

/** History first, then live behind it: nothing is missed in between, and nothing is drawn twice. */
async function begin() {
  board?.unsubscribe();
  wipe();
  const since = await load();
  board = hub.subscribe(BOARD, {
    since,
    echo: false,
    presence: { as: tab },
    onEvent: apply,
    onGap: () => begin().catch(complain),
    onPresence: showMembers,
  });
  introduce();
}

let board = null;
const hub = new Hub("/ws", { getToken });
hub.on("state", (state) => {
  due = Date.now() + (state.inMs ?? 0);
  showState();
});
setInterval(showState, 100);
hub.on("error", complain);
hub.subscribe(CURSORS, { echo: false, onEvent: moveCursor });

$("name").value = me.name;
$("colour").value = me.colour;
$("me").addEventListener("input", introduce);
$("me").addEventListener("submit", (event) => event.preventDefault());
$("clear").addEventListener("click", clear);
$("undo").addEventListener("click", undo);
addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key !== "z" || event.target.matches("#name")) return;
  event.preventDefault();
  undo();
});
makeSwatches();
showSwatches();
for (const [type, listener] of Object.entries({ pointerdown: down, pointermove: move, pointerup: up, pointercancel: up, pointerleave: leave })) {
  $("board").addEventListener(type, listener);
}
// Who closes the page is gone at once; who is cut off may come back within 15 s and nobody sees it.
window.addEventListener("pagehide", () => hub.close());
window.addEventListener("pageshow", ({ persisted }) => persisted && hub.connect());
begin().catch(complain);
