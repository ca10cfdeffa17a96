// The first page: how much, how fast, and what is not as it should be.
import { h, number, rate, span, table } from "./dom.js";
import { Plot } from "./plots.js";

const node = (id) => h("code", null, id);

function state(each) {
  const text = each.draining ? "departing" : each.reasons.length ? each.reasons.join("; ") : "ready";
  return h("span", { class: `state ${each.draining || each.reasons.length ? "bad" : "good"}` }, text);
}

function nodes(live) {
  const rows = live.told.nodes.map((each) => {
    const rates = live.rates(each);
    return [
      [node(each.node), each.node === live.told.from ? h("span", { class: "faint" }, " this one") : null],
      state(each), each.version, span(each.up_s), number(each.connections), number(each.channels),
      rate(rates.published), rate(rates.delivered), rate(each.lag_ms),
    ];
  });
  const columns = [["Node"], ["State"], ["Version"], ["Up"], ["Connections", "n"], ["Channels", "n"], ["Published/s", "n"], ["Delivered/s", "n"], ["Loop lag ms", "n"]];
  return table("Nodes", columns, rows);
}

function shards(live) {
  const rows = live.told.nodes.flatMap((each) =>
    each.shards.map((shard) => [
      h("code", null, shard.name), node(each.node),
      h("span", { class: `state ${shard.usable && !shard.deaf_s ? "good" : "bad"}` }, !shard.usable ? "away" : shard.deaf_s ? `deaf for ${span(shard.deaf_s)}` : "answers"),
      rate(shard.rtt_ms), shard.why || "",
    ]));
  return table("Storage, as each node sees it", [["Shard"], ["Seen by"], ["State"], ["Round trip ms", "n"], ["What it says"]], rows, "kept in the memory of one node");
}

/** Counts of all nodes by word, the largest first. */
function added(live, name) {
  const sum = new Map();
  for (const each of live.told.nodes) for (const [word, count] of Object.entries(each[name])) sum.set(word, (sum.get(word) ?? 0) + count);
  return [...sum].sort((a, b) => b[1] - a[1]);
}

function counts(title, live, name, empty) {
  return table(title, [["Why"], ["Since the start", "n"]], added(live, name).slice(0, 8).map(([word, count]) => [word, number(count)]), empty);
}

function losses(live) {
  const sum = (name) => live.told.nodes.reduce((all, each) => all + each[name], 0);
  const rows = [["Gaps between nodes", number(sum("gaps"))], ["Events refilled after one", number(sum("refilled"))], ["Events lost for good", h("span", { class: sum("lost") ? "state bad" : "" }, number(sum("lost")))]];
  return table("Losses", [["What"], ["Since the start", "n"]], rows);
}

export function overview(root, { live }) {
  const plots = [
    new Plot("Connections", "", (from) => from.series("connections", "sum")),
    new Plot("Published", "/s", (from) => from.series("published", "rate")),
    new Plot("Delivered", "/s", (from) => from.series("delivered", "rate")),
    new Plot("New connections", "/s", (from) => from.series("opened", "rate")),
    new Plot("Loop lag, the longest", "ms", (from) => from.series("lag_ms", "max")),
    new Plot("Storage round trip", "ms", (from) => from.series("rtt_ms", "max")),
  ];
  const tables = h("div", { class: "tables" });
  root.append(h("h1", null, "Overview"), h("div", { class: "plots" }, plots.map((each) => each.element)), tables);
  const draw = () => {
    if (!live.told) return;
    for (const plot of plots) plot.draw(live);
    // who reads a table with the keyboard keeps the place: it is drawn anew when the focus is elsewhere
    if (tables.contains(document.activeElement) && tables.childElementCount) return;
    tables.replaceChildren(nodes(live), shards(live),
      h("div", { class: "three" }, losses(live), counts("Refused at the door", live, "refusals", "nobody"), counts("Closed", live, "closed", "none")));
  };
  live.addEventListener("told", draw);
  draw();
  return () => live.removeEventListener("told", draw);
}
