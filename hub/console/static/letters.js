// Dead letters: what a source could not hand on, or a webhook could not deliver. Looked at, repeated, dropped.
import { bytes, complaint, confirmed, h, moment, number, pretty, say, table } from "./dom.js";
import { get, me, request } from "./session.js";

const PAGE = 50;

/** The body as text where it is text. */
function body(letter) {
  const raw = Uint8Array.from(atob(letter.body), (each) => each.charCodeAt(0));
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(raw);
    try {
      return pretty(JSON.parse(text));
    } catch {
      return text;
    }
  } catch {
    return `${bytes(raw.length)} that are no text: ${letter.body.slice(0, 400)}`;
  }
}

export function letters(root, { query, go }) {
  const place = h("div");
  const detail = h("div");
  root.append(h("h1", null, "Dead letters"), h("p", { class: "faint" }, "What bridges could not hand on and webhooks could not deliver. A replay publishes the letter's event once, behind what came since."), place, detail);
  const start = Number(query.get("from") ?? 0);

  const act = async (method, path, done) => {
    try {
      await request(method, path);
      say(done);
      detail.replaceChildren();
      load();
    } catch (error) {
      say(error.message, "bad");
    }
  };

  const open = async (id) => {
    const path = `v1/deadletters/${encodeURIComponent(id)}`;
    try {
      const found = await get(path);
      const write = me.admin === "write";
      detail.replaceChildren(h("section", { class: "detail", "aria-label": `Letter ${id}` }, h("h2", null, "Letter ", h("code", null, id)),
        h("dl", { class: "facts" }, [["From", found.origin], ["Why", `${found.code}: ${found.reason}`], ["Tried", number(found.tries)], ["Kept", moment(found.time)], ["Length", bytes(found.bytes)]].map(([t, v]) => h("div", null, h("dt", null, t), h("dd", null, v)))),
        found.event ? [h("h3", null, "The event it would be"), h("pre", null, pretty(found.event))] : h("p", { class: "notice" }, "It was never mapped to an event: mend the mapping, and replay it by its bridge."),
        h("h3", null, write ? "As it came" : "Its shape (its values are shown to admin:write)"), h("pre", null, found.body === undefined ? pretty(found.shape) : body(found)),
        write && h("div", { class: "buttons" },
          found.event && h("button", { type: "button", onclick: () => act("POST", `${path}/replay`, "published") }, "Replay"),
          h("button", { type: "button", class: "danger", onclick: async () => (await confirmed("Drop this letter?", "It can't be had back.", "Drop")) && act("DELETE", path, "dropped") }, "Drop"))));
      detail.scrollIntoView({ block: "nearest", behavior: "smooth" });
    } catch (error) {
      detail.replaceChildren(complaint(error));
    }
  };

  async function load() {
    try {
      const found = await get(`v1/deadletters?from=${start}&limit=${PAGE}`);
      place.replaceChildren(
        table(`${number(found.count)} kept`, [["Letter"], ["When"], ["From"], ["Code"], ["Why"], ["Tried", "n"]],
          found.letters.map((each) => [h("button", { type: "button", class: "link", onclick: () => open(each.id) }, each.id), moment(each.time), each.origin, each.code, each.reason, number(each.tries)]), "none: all was handed on"),
        h("div", { class: "buttons" },
          start > 0 && h("button", { type: "button", onclick: () => go("letters", new URLSearchParams({ from: Math.max(0, start - PAGE) })) }, "Older"),
          found.next < found.count && h("button", { type: "button", onclick: () => go("letters", new URLSearchParams({ from: found.next })) }, "Newer")));
    } catch (error) {
      place.replaceChildren(complaint(error));
    }
  }
  load();
}
