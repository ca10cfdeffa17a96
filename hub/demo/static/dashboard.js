// The dashboard of the demo: live jobs, the link's state, and what each reconnect recovered.
import { Hub } from "/client/hub.js";

const CHANNEL = "job:demo";
const CUT_MS = 5000;
const SHOWN_JOBS = 18;
const SHOWN_LINES = 40;

const $ = (id) => document.getElementById(id);
const figures = { events: 0, lost: 0, twice: 0 };

// The cable: every socket of the client goes through it, so that it can be cut, and what the hub answers to a
// subscription can be shown. An application needs nothing of this.

const cable = { isCut: false, cutAt: null, sockets: new Set() };

class Cable extends WebSocket {
  constructor(...args) {
    super(...args);
    cable.sockets.add(this);
    this.addEventListener("close", () => cable.sockets.delete(this));
    this.addEventListener("message", ({ data }) => observe(JSON.parse(data)));
    if (cable.isCut) this.close();
  }
}

function observe(message) {
  if (message.type !== "hub.subscribed") return;
  for (const reply of message.results ?? [message]) if (reply.channel === CHANNEL) subscribed(reply);
}

function cut() {
  cable.isCut = true;
  cable.cutAt = Date.now();
  for (const socket of cable.sockets) socket.close();
  note("bad", `The link is cut for ${CUT_MS / 1000} s. The jobs go on.`);
  const end = Date.now() + CUT_MS;
  const countdown = setInterval(() => {
    const left = end - Date.now();
    if (left > 0) return void ($("cut").textContent = `cut for ${Math.ceil(left / 1000)} s`);
    clearInterval(countdown);
    mend();
  }, 100);
  $("cut").disabled = true;
}

function mend() {
  cable.isCut = false;
  $("cut").disabled = false;
  $("cut").textContent = "Cut the link";
  // What a browser says when the network is back; without it the client comes at the end of its backoff.
  window.dispatchEvent(new Event("online"));
}

/** What the hub says to a subscription: the first time a snapshot, later what was missed. */
function subscribed({ recovered, missed, gap, snapshot }) {
  const away = cable.cutAt ? ` after ${((Date.now() - cable.cutAt) / 1000).toFixed(1)} s` : "";
  cable.cutAt = null;
  if (recovered) {
    note("good", `Back${away}: ${missed} missed event${missed === 1 ? "" : "s"} recovered, none lost.`);
  } else if (gap) {
    note("bad", `Back${away}: ${gap.from} to ${gap.to} can't be had any more (${gap.cause}); here is the snapshot.`);
  } else {
    note("good", `Subscribed: the snapshot holds ${snapshot?.length ?? 0} jobs.`);
  }
}

// The jobs

const jobs = new Map(); // id → element, in the order of arrival

function show({ payload, time }) {
  const { job: id, name, state, progress, note: text } = payload;
  const element = jobs.get(id) ?? newJob(id);
  element.dataset.state = state;
  element.title = new Date(time).toLocaleTimeString();
  element.querySelector(".name").textContent = name;
  element.querySelector(".note").textContent = text;
  element.querySelector(".badge").textContent = state === "running" ? `${progress} %` : state;
  element.querySelector(".fill").style.width = `${progress}%`;
}

function newJob(id) {
  const element = $("job").content.firstElementChild.cloneNode(true);
  element.querySelector(".id").textContent = `#${id}`;
  jobs.set(id, element);
  $("jobs").prepend(element);
  while (jobs.size > SHOWN_JOBS) {
    const [oldest, its] = [...jobs].find(([, each]) => isOver(each)) ?? [...jobs][0];
    its.remove();
    jobs.delete(oldest);
  }
  return element;
}

const isOver = (element) => ["succeeded", "failed"].includes(element.dataset.state);

// Offsets have no holes: the client's promise, checked here. A merged event says how many it replaced.

let last = null;

function count({ offset, conflated = 0 }) {
  figures.events += 1;
  if (last !== null) {
    const expected = last + 1 + conflated;
    if (offset > expected) figures.lost += offset - expected;
    if (offset <= last) figures.twice += 1;
  }
  last = offset;
  tell();
}

function tell() {
  for (const [name, value] of Object.entries(figures)) $(name).textContent = value.toLocaleString("en");
  const position = jobsFeed.position;
  $("position").textContent = position ? `${position.epoch}:${position.offset}` : "–";
}

function note(kind, text) {
  const line = document.createElement("li");
  const time = document.createElement("time");
  line.className = kind;
  time.textContent = new Date().toLocaleTimeString();
  line.append(time, text);
  $("log").prepend(line);
  while ($("log").children.length > SHOWN_LINES) $("log").lastElementChild.remove();
}

// The link

async function getToken() {
  const response = await fetch("/demo/token", { method: "POST" });
  if (!response.ok) throw new Error(`no token: HTTP ${response.status}`);
  return (await response.json()).token;
}

function showState(state) {
  const pill = $("state");
  const wait = state.inMs ? ` in ${(state.inMs / 1000).toFixed(1)} s` : "";
  pill.dataset.state = state.name;
  pill.textContent = state.name === "connected" ? `connected as ${state.user}` : `${state.name}${wait}`;
  if (state.name === "reconnecting") {
    cable.cutAt ??= Date.now();
    note("wait", `${state.why.reason || "The link is gone"}. Next attempt${wait || " now"}.`);
  }
}

const hub = new Hub("/ws", { getToken, WebSocket: Cable });
hub.on("state", showState);
hub.on("error", (error) => note("bad", error.message));

const jobsFeed = hub.subscribe(CHANNEL, {
  onSnapshot: (events, position) => {
    for (const event of events) show(event);
    last = position.offset;
    tell();
  },
  onEvent: (event) => {
    show(event);
    count(event);
  },
});

$("cut").addEventListener("click", cut);
