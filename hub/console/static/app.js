// The console: who signs in, which page is shown, and whether what it shows is fresh.
import { $, h, span } from "./dom.js";
import { Live } from "./live.js";
import { me, onEnd, resume, signIn, signOut } from "./session.js";
import { channels } from "./channels.js";
import { connections } from "./connections.js";
import { explain } from "./explain.js";
import { letters } from "./letters.js";
import { overview } from "./overview.js";
import { settings } from "./settings.js";
import { tokens } from "./tokens.js";

const PAGES = {
  overview: ["Overview", overview],
  connections: ["Connections", connections],
  channels: ["Channels", channels],
  explain: ["Explain", explain],
  tokens: ["Tokens", tokens],
  letters: ["Dead letters", letters],
  settings: ["Settings", settings],
};

let live = null;
let leave = () => {};

function go(page, query = new URLSearchParams()) {
  const next = `#${page}${query.size ? `?${query}` : ""}`;
  if (next === location.hash) show();
  else location.hash = next;
}

function route() {
  const [name, query = ""] = location.hash.slice(1).split("?");
  return { name: Object.hasOwn(PAGES, name) ? name : "overview", query: new URLSearchParams(query) };
}

/** Shows the page that the address names. */
function show() {
  if (!me || !live) return;
  leave();
  const { name, query } = route();
  const [title, page] = PAGES[name];
  document.title = `${title} · notification hub`;
  for (const link of $("nav").children) link.ariaCurrent = link.dataset.page === name ? "page" : null;
  $("main").replaceChildren();
  leave = page($("main"), { live, query, go }) ?? (() => {});
}

function navigate() {
  show();
  $("main").focus({ preventScroll: true });
  scrollTo(0, 0);
}

// Freshness: the link's state, and what the storage's absence means for what is seen

function showLink() {
  if (!live) return;
  const { name, due } = live.link;
  const left = Math.max(0, due - Date.now());
  const text = name === "connected" ? "live" : name === "reconnecting" ? `reconnecting in ${(left / 1000).toFixed(1)} s` : name;
  const pill = $("link");
  pill.dataset.state = name;
  // a countdown is for eyes: who listens is told the state once
  if (pill.textContent !== text) pill.textContent = text;
  pill.setAttribute("aria-live", name === "reconnecting" ? "off" : "polite");
}

function warn() {
  const { told } = live;
  const away = told.nodes.filter((each) => each.shards.some((shard) => !shard.usable));
  const text = away.length
    ? `The storage is away for ${away.map((each) => each.node).join(", ")}: what is stored can't be read, and publications are refused.${told.complete ? "" : ` This is what node ${told.from} knows by itself.`}`
    : told.complete ? "" : `Not all nodes answer: this is what ${told.nodes.map((each) => each.node).join(", ")} know.`;
  banner(text);
}

function banner(text) {
  const place = $("banner");
  if (place.textContent === text) return;
  place.textContent = text;
  place.hidden = !text;
}

async function enter() {
  $("bar").hidden = false;
  document.body.classList.remove("out");
  $("version").textContent = me.version;
  $("user").textContent = `${me.user} · ${me.admin}`;
  $("user").title = me.expires_at ? `until ${new Date(me.expires_at).toLocaleTimeString()}, ${span((me.expires_at - Date.now()) / 1000)} from now` : "";
  $("nav").replaceChildren(...Object.entries(PAGES).map(([name, [title]]) => h("a", { href: `#${name}`, "data-page": name }, title)));
  live = new Live();
  live.addEventListener("link", showLink);
  live.addEventListener("told", warn);
  live.addEventListener("trouble", ({ detail }) => me && banner(`${detail.message}. What is seen is as old as that.`));
  const starting = live.start();
  showLink();
  navigate();
  await starting;
}

function door(why = "") {
  leave();
  leave = () => {};
  live?.stop();
  live = null;
  banner("");
  $("bar").hidden = true;
  document.body.classList.add("out");
  document.title = "Console · notification hub";
  const key = h("input", { type: "password", name: "key", autocomplete: "off", required: true, spellcheck: false });
  const said = h("p", { class: "complaint", role: "alert", hidden: !why }, why);
  const button = h("button", { type: "submit", class: "first" }, "Sign in");
  const send = async (event) => {
    event.preventDefault();
    const typed = key.value.trim();
    key.value = "";
    button.disabled = true;
    try {
      if (await signIn(typed)) await enter();
    } catch (error) {
      said.hidden = false;
      said.textContent = error.message;
      key.focus();
    }
    button.disabled = false;
  };
  $("main").replaceChildren(h("form", { class: "door", onsubmit: send },
    h("p", { class: "brand" }, h("span", { "aria-hidden": "true" }, "◆"), " notification hub"), h("h1", null, "Console"),
    h("label", { class: "field" }, h("span", null, "Token or API key"), key), said, button,
    h("p", { class: "faint" }, "It needs the right ", h("code", null, "admin"), ", read or write. The key is sent once and not kept: this tab gets a ticket for 8 hours at most.")));
  key.focus();
}

$("out").addEventListener("click", () => signOut());
onEnd(door);
addEventListener("hashchange", () => me && navigate());
setInterval(showLink, 100);
try {
  if (await resume()) await enter();
  else door();
} catch (error) {
  door(`${error.message}: load the page again`);
}
