// Tokens: what one says, whether it is good here and exactly why; and, where things are tried out, new ones.
import { complaint, field, h, say } from "./dom.js";
import { me, post } from "./session.js";

const words = (text) => text.split(/[\s,]+/).filter(Boolean);

function explain() {
  const text = h("textarea", { rows: 5, required: true, spellcheck: false, autocomplete: "off", placeholder: "eyJ…" });
  const place = h("div", { "aria-live": "polite" });
  const send = async (event) => {
    event.preventDefault();
    try {
      const found = await post("v1/tokens/explain", { token: text.value.trim() });
      const [first, ...rest] = found.lines;
      place.replaceChildren(h("p", { class: `verdict ${found.valid ? "good" : "bad"}` }, first), h("ul", { class: "steps" }, rest.map((line) => h("li", null, line))));
    } catch (error) {
      place.replaceChildren(complaint(error));
    }
  };
  return h("section", null, h("h2", null, "What does this token say?"),
    h("form", { class: "stack", onsubmit: send }, field("Token", text, "it is sent to this hub, which says why it is good or not; nothing of it is kept"), h("div", { class: "buttons" }, h("button", { type: "submit" }, "Explain"))), place);
}

function mint() {
  const user = h("input", { required: true, value: "dev", maxLength: 256 });
  const grants = Object.fromEntries(["subscribe", "publish", "presence"].map((verb) => [verb, h("input", { value: verb === "subscribe" ? "job:*" : "", spellcheck: false })]));
  const life = h("select", null, [[900, "15 minutes"], [3600, "an hour"], [86400, "a day"]].map(([value, text]) => h("option", { value, selected: value === 3600 }, text)));
  const place = h("div", { "aria-live": "polite" });
  const send = async (event) => {
    event.preventDefault();
    const hub = Object.fromEntries(Object.entries(grants).map(([verb, input]) => [verb, words(input.value)]).filter(([, list]) => list.length));
    try {
      const { token } = await post("v1/tokens", { user: user.value, hub, ttl_s: Number(life.value) });
      const shown = h("textarea", { rows: 5, readOnly: true, "aria-label": "The token", value: token });
      place.replaceChildren(shown, h("div", { class: "buttons" }, h("button", { type: "button", onclick: async () => { await navigator.clipboard.writeText(token); say("copied"); } }, "Copy")));
    } catch (error) {
      place.replaceChildren(complaint(error));
    }
  };
  return h("section", null, h("h2", null, "A new token"),
    h("form", { class: "stack", onsubmit: send }, field("User", user), field("May subscribe to", grants.subscribe, "patterns, with spaces between: job:* doc:7"), field("May publish to", grants.publish), field("May see presence of", grants.presence), field("Good for", life), h("div", { class: "buttons" }, h("button", { type: "submit" }, "Mint"))), place);
}

export function tokens(root) {
  root.append(h("h1", null, "Tokens"), h("div", { class: "two" }, explain(), me.mint ? mint() : h("section", null, h("h2", null, "A new token"), h("p", { class: "faint" }, "Minted by your backend, or by ", h("code", null, "hub token"), ". Here only where things are tried out: ", h("code", null, "hub serve --dev"), ", or HUB_CONSOLE_MINT."))));
}
