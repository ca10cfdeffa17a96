// Channels: what is listened to, and what is in one: snapshot, history, who is there, what comes, and a publication.
import { bytes, clock, complaint, field, h, moment, number, pretty, say, table } from "./dom.js";
import { get, me, post } from "./session.js";

const PAGE = 50;
const TAIL = 100;
const LONG = 400;

const path = (name, tail = "") => `v1/channels/${encodeURIComponent(name)}${tail}`;

/** A payload: one line, and all of it when it is opened. */
function payload(value) {
  const line = JSON.stringify(value) ?? "";
  if (line.length <= 90) return h("code", { class: "payload" }, line);
  return h("details", null, h("summary", null, h("code", { class: "payload" }, `${line.slice(0, 90)}…`)), h("pre", null, pretty(value).slice(0, 200 * LONG)));
}

const event = (each) => [number(each.offset), clock(each.time), each.type, each.key ?? "", each.from ?? h("span", { class: "faint" }, "a service"), payload(each.payload)];
const EVENTS = [["Offset", "n"], ["Time"], ["Event"], ["Key"], ["From"], ["Payload"]];

export function channels(root, { query, go, live }) {
  const name = query.get("name");
  return name ? one(root, name, go, live) : search(root, query, go);
}

function search(root, query, go) {
  const text = h("input", { type: "search", value: query.get("q") ?? "", placeholder: "part of a name, or a whole one", autocomplete: "off", spellcheck: false, "aria-label": "Channel" });
  const list = h("div");
  root.append(h("h1", null, "Channels"),
    h("form", { class: "search", role: "search", onsubmit: (e) => { e.preventDefault(); go("channels", new URLSearchParams(text.value.trim() && { q: text.value.trim() })); } }, text, h("button", { type: "submit" }, "Search")),
    list);
  let stopped = false;
  (async () => {
    try {
      const wanted = query.get("q") ?? "";
      const found = await get(`v1/channels?search=${encodeURIComponent(wanted)}`);
      if (stopped) return;
      const link = (channel) => h("a", { href: `#channels?${new URLSearchParams({ name: channel })}` }, h("code", null, channel));
      const rows = found.channels.map((each) => [link(each.channel), each.mode, number(each.subscribers), number(each.nodes), each.offset ? h("code", null, `${each.epoch}:${each.offset}`) : "–"]);
      const exact = wanted.includes(":") && !found.channels.some((each) => each.channel === wanted);
      list.replaceChildren(
        found.complete ? "" : h("p", { class: "notice" }, "Not complete: a node did not answer in time."),
        exact ? h("p", { class: "notice" }, "Nobody listens to ", link(wanted), " now; it may hold events all the same.") : "",
        table("Channels that somebody listens to", [["Channel"], ["Mode"], ["Subscriptions", "n"], ["Nodes", "n"], ["Position"]], rows, "none"));
    } catch (error) {
      if (!stopped) list.replaceChildren(complaint(error));
    }
  })();
  return () => { stopped = true; };
}

const TABS = [["snapshot", "Snapshot"], ["history", "History"], ["presence", "Presence"], ["tail", "Live tail"], ["publish", "Publish"]];

function one(root, name, go, live) {
  const facts = h("dl", { class: "facts" });
  const body = h("div", { class: "panel", role: "tabpanel", id: "panel", tabIndex: 0 });
  let leave = () => {};
  let mode = null;
  const tabs = TABS.map(([id, title]) => h("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "panel", "aria-selected": "false", tabIndex: -1, onclick: () => open(id) }, title));
  const open = (id) => {
    leave();
    for (const tab of tabs) {
      const chosen = tab.id === `tab-${id}`;
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
    }
    body.setAttribute("aria-labelledby", `tab-${id}`);
    body.replaceChildren();
    leave = PANELS[id](body, name, live, mode) ?? (() => {});
  };
  const keys = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  };
  root.append(h("p", null, h("a", { href: "#channels" }, "← Channels")), h("h1", null, h("code", null, name)), facts, h("div", { class: "tabs", role: "tablist", "aria-label": "What is in it", onkeydown: keys }, tabs), body);
  (async () => {
    try {
      const found = await get(path(name));
      mode = found.mode;
      facts.replaceChildren(...[["Mode", found.mode], ["Position", found.epoch ? h("code", null, `${found.epoch}:${found.offset}`) : "not numbered"], ["Subscriptions", number(found.subscribers)]].map(([t, v]) => h("div", null, h("dt", null, t), h("dd", null, v))));
      open(mode === "state" ? "snapshot" : mode === "log" ? "history" : "tail");
    } catch (error) {
      facts.replaceChildren();
      body.replaceChildren(complaint(error), error.status === 403 ? h("p", { class: "faint" }, "What a channel holds is shown to keys and tokens that may subscribe to it: name it in their grants.") : "");
    }
  })();
  return () => leave();
}

async function snapshot(body, name) {
  try {
    const found = await get(path(name, "/snapshot"));
    const filter = h("input", { type: "search", placeholder: "key", "aria-label": "Only keys that hold" });
    const place = h("div");
    const draw = () => {
      const shown = found.events.filter((each) => (each.key ?? "").includes(filter.value));
      place.replaceChildren(table(`${number(Math.min(200, shown.length))} of ${number(found.events.length)} keys, as of ${found.epoch}:${found.offset}`, [["Key"], ["Offset", "n"], ["Time"], ["Event"], ["Payload"]],
        shown.slice(0, 200).map((each) => [h("code", null, each.key ?? "–"), number(each.offset), moment(each.time), [each.type, each.final ? h("span", { class: "faint" }, " final") : null], payload(each.payload)]), "empty"));
    };
    filter.addEventListener("input", draw);
    body.replaceChildren(h("div", { class: "search" }, filter), place);
    draw();
  } catch (error) {
    body.replaceChildren(complaint(error));
  }
}

function history(body, name) {
  const place = h("div");
  const older = h("button", { type: "button" }, "Older");
  const newest = h("button", { type: "button" }, "Newest");
  let first = null;
  const load = async (since) => {
    try {
      const found = await get(path(name, `/history?limit=${PAGE}${since ? `&since=${encodeURIComponent(since)}` : ""}`));
      const events = found.events.slice(0, PAGE);
      first = events.length ? { epoch: found.epoch, offset: events[0].offset } : null;
      older.disabled = !first || first.offset <= 1 || Boolean(found.gap);
      place.replaceChildren(found.gap ? h("p", { class: "notice" }, `${found.gap.from} to ${found.gap.to} are no longer stored (${found.gap.cause}).`) : "",
        table(events.length ? `${number(events[0].offset)} to ${number(events.at(-1).offset)} of ${number(found.offset)}` : "History", EVENTS, events.map(event).reverse(), "nothing is stored"));
    } catch (error) {
      place.replaceChildren(complaint(error));
    }
  };
  older.addEventListener("click", () => first && load(`${first.epoch}:${Math.max(0, first.offset - 1 - PAGE)}`));
  newest.addEventListener("click", () => load());
  body.replaceChildren(h("div", { class: "buttons" }, newest, older), place);
  load();
}

async function presence(body, name) {
  try {
    const { members } = await get(path(name, "/presence"));
    body.replaceChildren(table(`${number(members.length)} present`, [["User"], ["As"], ["Connection"], ["State"]], members.slice(0, 200).map((each) => [each.user, each.as ?? "", h("code", null, each.connection ?? ""), each.state === undefined ? "" : payload(each.state)]), "nobody"));
  } catch (error) {
    body.replaceChildren(complaint(error));
  }
}

function tail(body, name, live) {
  const list = h("ol", { class: "tail", reversed: true });
  const said = h("span", { class: "faint", role: "status" }, "listening");
  let paused = false;
  let count = 0;
  let waiting = [];
  const draw = () => {
    if (paused || !waiting.length) return;
    const lines = waiting.splice(0).slice(-TAIL).reverse().map((each) =>
      h("li", null, h("time", null, clock(each.time)), h("code", null, each.offset ?? ""), h("span", null, each.type), each.key ? h("code", null, each.key) : "", payload(each.payload)));
    list.prepend(...lines);
    while (list.childElementCount > TAIL) list.lastElementChild.remove();
    said.textContent = `${number(count)} since it was opened`;
  };
  const timer = setInterval(draw, 250);
  const subscription = live.hub.subscribe(name, {
    onEvent: (each) => { count++; waiting.push(each); if (waiting.length > TAIL) waiting.shift(); },
    onGap: (gap) => { said.textContent = `a gap: ${gap.cause}`; },
    onState: (state) => { if (state.error) said.textContent = state.error.message; },
  });
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => { paused = !paused; pause.setAttribute("aria-pressed", paused); pause.textContent = paused ? "Go on" : "Pause"; draw(); } }, "Pause");
  body.replaceChildren(h("div", { class: "buttons" }, pause, said), list);
  return () => { clearInterval(timer); subscription.unsubscribe(); };
}

/** The payload as JSON, or why it is none. */
function parsed(text) {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { error: error.message };
  }
}

function publish(body, name) {
  const type = h("input", { name: "event", required: true, value: "test", maxLength: 128, spellcheck: false });
  const key = h("input", { name: "key", maxLength: 128, spellcheck: false });
  const final = h("input", { type: "checkbox", name: "final" });
  const text = h("textarea", { name: "payload", rows: 8, spellcheck: false, value: "{}" });
  const said = h("p", { class: "check", role: "status" });
  const button = h("button", { type: "submit" }, "Publish");
  const check = () => {
    const { error } = parsed(text.value);
    said.className = `check ${error ? "bad" : "good"}`;
    said.textContent = error ? `no JSON: ${error}` : `JSON, ${bytes(new TextEncoder().encode(text.value).length)}`;
    button.disabled = Boolean(error);
    text.setAttribute("aria-invalid", Boolean(error));
  };
  text.addEventListener("input", check);
  const send = async (event) => {
    event.preventDefault();
    // the payload goes as it was typed: numbers that JavaScript can't hold stay what they are
    const rest = { channel: name, event: type.value, ...(key.value && { key: key.value }), ...(final.checked && { final: true }) };
    button.disabled = true;
    try {
      const found = await post("v1/publish", `${JSON.stringify(rest).slice(0, -1)},"payload":${text.value}}`);
      say(found.offset ? `stored at ${found.epoch}:${found.offset}` : "announced");
    } catch (error) {
      say(error.message, "bad");
    }
    check();
  };
  body.replaceChildren(h("form", { class: "stack", onsubmit: send }, field("Event", type), field("Key", key, "what it is about; on state channels the newest of each key stands"), h("label", { class: "tick" }, final, " the last of its key"), field("Payload", text), said, h("div", { class: "buttons" }, button)));
  check();
}

const PANELS = { snapshot: (...given) => void snapshot(...given), history, presence: (...given) => void presence(...given), tail, publish };
