// The settings of the node that answers, without secrets.
import { complaint, h, table } from "./dom.js";
import { get } from "./session.js";

const shown = (value) => (value === null ? h("span", { class: "faint" }, "not set") : h("code", { class: "wrap" }, typeof value === "string" ? value : JSON.stringify(value)));

export function settings(root) {
  const place = h("div");
  const text = h("input", { type: "search", placeholder: "name", "aria-label": "Only settings that hold" });
  const own = h("input", { type: "checkbox" });
  root.append(h("h1", null, "Settings"), h("div", { class: "search" }, text, h("label", null, own, " only what was set")), place);
  (async () => {
    try {
      const found = await get("v1/settings");
      const draw = () => {
        const rows = Object.entries(found.settings).filter(([name, { default: plain }]) => name.includes(text.value.toLowerCase()) && !(own.checked && plain));
        place.replaceChildren(table(`Of node ${found.node}`, [["Setting"], ["Value"], [""]], rows.map(([name, { value, default: plain }]) => [h("code", null, `HUB_${name.toUpperCase()}`), shown(value), plain ? h("span", { class: "faint" }, "default") : h("span", { class: "state good" }, "set")])));
      };
      text.addEventListener("input", draw);
      own.addEventListener("change", draw);
      draw();
    } catch (error) {
      place.replaceChildren(complaint(error));
    }
  })();
}
