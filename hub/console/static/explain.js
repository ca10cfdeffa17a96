// Why did it not come? One sentence, and the steps that lead to it.
import { complaint, field, h } from "./dom.js";
import { post } from "./session.js";

const GOOD = new Set(["delivered", "subscribed"]);

export function explain(root, { query }) {
  const by = h("select", { "aria-label": "Who" }, ["user", "connection"].map((each) => h("option", { value: each, selected: query.get("by") === each }, each)));
  const who = h("input", { required: true, maxLength: 256, spellcheck: false, value: query.get("who") ?? "" });
  const channel = h("input", { required: true, maxLength: 256, spellcheck: false, placeholder: "job:42", value: query.get("channel") ?? "" });
  const which = h("input", { maxLength: 128, spellcheck: false, value: query.get("event") ?? "" });
  const place = h("div", { "aria-live": "polite" });
  const send = async (event) => {
    event?.preventDefault();
    const id = which.value.trim();
    const body = { [by.value]: who.value.trim(), channel: channel.value.trim(), ...(id && (/^[0-9]+$/.test(id) ? { offset: Number(id) } : { event_id: id })) };
    place.replaceChildren(h("p", { class: "faint" }, "asking all nodes…"));
    try {
      const found = await post("v1/explain", body);
      place.replaceChildren(h("p", { class: `verdict ${GOOD.has(found.cause) ? "good" : "bad"}` }, found.answer),
        h("p", { class: "faint" }, "cause ", h("code", null, found.cause), found.complete ? `; all ${found.nodes.length} nodes answered` : "; NOT COMPLETE: a node did not answer"),
        h("ol", { class: "steps" }, found.steps.map((line) => h("li", null, line))));
    } catch (error) {
      place.replaceChildren(complaint(error));
    }
  };
  root.append(h("h1", null, "Why did it not come?"),
    h("form", { class: "stack", onsubmit: send },
      h("div", { class: "field" }, h("span", null, "Who"), h("div", { class: "pair" }, by, Object.assign(who, { ariaLabel: "Name or id" }))),
      field("Channel", channel), field("Event", which, "its offset or its id; without one: the channel's last"),
      h("div", { class: "buttons" }, h("button", { type: "submit" }, "Explain"))), place);
}
