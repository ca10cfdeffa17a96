// Who is connected: a search, never a list of all. One connection with its positions; who is gone; cut off, revoke.
import { $, bytes, clock, complaint, confirmed, field, h, number, say, span, table } from "./dom.js";
import { get, me, post } from "./session.js";

const BY = [["user", "user"], ["channel", "channel"], ["address", "address"], ["connection", "connection id"]];
const SHOWN = 50;
const PAST_SHOWN = 200;

function place(name, at) {
  if (at.top === null || !at.epoch) return [h("code", null, name), at.state, "–", "–", number(at.queued), "–"];
  const behind = at.top - at.offset;
  const merged = at.merged?.map(([gone, into]) => `${gone} into ${into}`).join(", ");
  return [h("code", null, name), at.state, h("code", null, `${at.epoch}:${at.offset}`), behind > 0 ? h("span", { class: "state bad" }, number(behind)) : "0", number(at.queued), merged ?? ""];
}

function detail(found, again) {
  const box = found.outbox;
  const write = me.admin === "write";
  const act = (title, text, yes, run) => async () => {
    if (!(await confirmed(title, text, yes))) return;
    try {
      say(await run());
      again();
    } catch (error) {
      say(error.message, "bad");
    }
  };
  const cut = (reconnect) => async () => {
    await post("v1/disconnect", { connection: found.connection, reconnect });
    return reconnect ? "told to come back by a new connection" : "disconnected";
  };
  return h("section", { class: "detail", "aria-label": `Connection ${found.connection}` },
    h("h2", null, "Connection ", h("code", null, found.connection)),
    h("dl", { class: "facts" }, [
      ["User", found.user], ["Address", found.address], ["Node", h("code", null, found.node)], ["Speaks", found.encoding],
      ["Open for", span(found.age_s)], ["Last heard", `${span(found.silent_s)} ago`],
      ["Outbox", box.entries ? `${number(box.entries)} frames, ${bytes(box.bytes)} wait` : "empty"],
      ["Reads", h("span", { class: `state ${box.blocked ? "bad" : "good"}` }, box.blocked ? "no: it is blocked" : "yes")],
      ["Last error", found.last_error ?? "none"],
    ].map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
    table("Subscriptions", [["Channel"], ["State"], ["Position"], ["Behind", "n"], ["Queued", "n"], ["Merged lately"]],
      Object.entries(found.channels).sort().map(([name, at]) => place(name, at)), "none"),
    write
      ? h("div", { class: "buttons" },
          h("button", { type: "button", onclick: act("Send to a new connection?", `${found.connection} of ${found.user} is closed; its client comes back by itself.`, "Close it", cut(true)) }, "Reconnect"),
          h("button", { type: "button", class: "danger", onclick: act("Disconnect?", `${found.connection} of ${found.user} is closed; its client does not come back by itself.`, "Disconnect", cut(false)) }, "Disconnect"),
          h("button", { type: "button", class: "danger", onclick: act(`Revoke all tokens of ${found.user}?`, "Every token issued to this user up to now is worth nothing any more, and its connections are closed on all nodes.", "Revoke",
            async () => { await post("v1/revoke", { sub: found.user }); return `tokens of ${found.user} are revoked`; }) }, "Revoke the user's tokens"))
      : h("p", { class: "faint" }, "Signed in to read: disconnecting needs admin:write."));
}

function over(each) {
  const ended = each.kind === "ended";
  const what = ended ? `${each.code} ${each.name}` : each.code;
  return [
    clock(each.time), each.user ?? h("span", { class: "faint" }, each.origin ?? "a stranger"), each.address,
    h("span", { class: `state ${ended && each.by === "peer" ? "" : "bad"}` }, ended ? "closed" : "refused"), what,
    [each.reason || "", each.channel ? h("code", null, ` ${each.channel}`) : null],
    each.unread_bytes ? bytes(each.unread_bytes) : "–", number(each.count),
  ];
}

export function connections(root, { live, query, go }) {
  const by = h("select", { name: "by", "aria-label": "Search by" }, BY.map(([value, text]) => h("option", { value, selected: query.get("by") === value }, text)));
  const text = h("input", { name: "q", type: "search", value: query.get("q") ?? "", autocomplete: "off", spellcheck: false, "aria-label": "What to search for" });
  const gone = h("input", { type: "checkbox", name: "past", checked: query.has("past") });
  const list = h("div", { class: "list" });
  const search = () => {
    const next = new URLSearchParams({ by: by.value, ...(text.value.trim() && { q: text.value.trim() }), ...(gone.checked && { past: "" }) });
    go("connections", next);
  };
  root.append(h("h1", null, "Connections"),
    h("form", { class: "search", role: "search", onsubmit: (event) => { event.preventDefault(); search(); } },
      by, text, h("label", null, gone, " the last 15 minutes"), h("button", { type: "submit" }, "Search")),
    list);
  gone.addEventListener("change", search);
  let stopped = false;

  async function show() {
    const params = new URLSearchParams({ limit: query.has("past") ? PAST_SHOWN : SHOWN });
    if (query.get("q")) params.set(query.get("by") ?? "user", query.get("q"));
    if (query.has("past")) params.set("closed", "true");
    try {
      const found = await get(`v1/connections?${params}`);
      if (stopped) return;
      list.replaceChildren(found.complete ? "" : h("p", { class: "notice" }, "Not complete: a node did not answer in time."), query.has("past") ? past(found.past) : present(found.connections));
    } catch (error) {
      if (!stopped) list.replaceChildren(complaint(error));
    }
  }

  function past(found) {
    return table(`What ended and was refused: ${number(found.length)}`, [["When"], ["User"], ["Address"], ["What"], ["Code"], ["Why"], ["Unread", "n"], ["Times", "n"]], found.map(over), "nothing in the last 15 minutes");
  }

  function present(found) {
    const all = live.told?.nodes.reduce((sum, each) => sum + each.connections, 0);
    const title = query.get("q") ? `${number(found.length)} found` : `${number(found.length)} of ${number(Math.max(all ?? 0, found.length))}: search for the others`;
    const place = h("div");
    const open = async (id) => {
      const one = (await get(`v1/connections?connection=${encodeURIComponent(id)}`).catch(() => null))?.connections[0];
      place.replaceChildren(one ? detail(one, show) : h("p", { class: "notice" }, "It is gone."));
      place.scrollIntoView({ block: "nearest", behavior: "smooth" });
    };
    const rows = found.map((each) => [
      h("button", { type: "button", class: "link", onclick: () => open(each.connection) }, each.connection),
      each.user, each.address, h("code", null, each.node), span(each.age_s), number(Object.keys(each.channels).length),
      each.outbox.blocked ? h("span", { class: "state bad" }, `blocked, ${bytes(each.outbox.bytes)}`) : each.outbox.entries ? bytes(each.outbox.bytes) : "empty",
      each.last_error ?? "",
    ]);
    const element = h("div", null, table(title, [["Connection"], ["User"], ["Address"], ["Node"], ["Open for"], ["Channels", "n"], ["Outbox"], ["Last error"]], rows, "nobody"), place);
    if (found.length === 1) place.replaceChildren(detail(found[0], show));
    return element;
  }

  show();
  if (!query.size) text.focus({ preventScroll: true });
  return () => { stopped = true; };
}
