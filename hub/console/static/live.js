// All nodes' figures, live: by the hub's own protocol, in its namespace `hub`; by asking every few seconds where no
// socket can be had. And the last 15 minutes of each node, as it kept them and as they go on here.
import { get, me, scriptUrl, socketUrl, token } from "./session.js";

const CHANNEL = "hub:nodes";
const SAMPLE_MS = 5000;
const KEPT_MS = 15 * 60_000;
const ASK_MS = 5000;

export class Live extends EventTarget {
  /** {nodes, complete, from}, as told last. */
  told = null;
  /** The state of the link: a name, and when the next try is due. */
  link = { name: "connecting", due: 0 };
  /** node → samples, oldest first, each a list as `me.sampled` names it. */
  samples = new Map();
  hub = null;
  #heard = 0;
  #timer;

  async start() {
    const { Hub } = await import(scriptUrl("hub.js"));
    this.hub = new Hub(socketUrl(), { getToken: () => token() });
    this.hub.on("state", (state) => this.#linked(state));
    this.hub.on("error", (error) => console.warn(error.message));
    this.hub.subscribe(CHANNEL, { onEvent: ({ payload }) => this.#tell(payload) });
    this.#timer = setInterval(() => this.#ask(), ASK_MS);
    await this.#ask(true);
  }

  stop() {
    clearInterval(this.#timer);
    this.hub?.close();
  }

  #linked(state) {
    this.link = { name: state.name, due: state.inMs === undefined ? 0 : Date.now() + state.inMs, why: state.why?.reason };
    this.dispatchEvent(new Event("link"));
  }

  async #ask(past = false) {
    if (!past && Date.now() - this.#heard < 2 * ASK_MS) return;
    try {
      const found = await get(`v1/nodes${past || !this.told ? "?samples=true" : ""}`);
      for (const { node, samples } of found.samples ?? []) this.samples.set(node, samples);
      this.#tell(found, true);
    } catch (error) {
      this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
    }
  }

  #tell(told, asked = false) {
    if (!asked) this.#heard = Date.now();
    this.before = this.told;
    this.told = told;
    for (const node of told.nodes) this.#keep(node);
    this.dispatchEvent(new Event("told"));
  }

  #keep(node) {
    const known = this.samples.get(node.node) ?? [];
    const last = known.at(-1);
    if (!last || node.time - last[0] >= SAMPLE_MS - 100) known.push(me.sampled.map((name) => node[name]));
    while (known.length && node.time - known[0][0] > KEPT_MS) known.shift();
    this.samples.set(node.node, known);
  }

  /** Rates a second of one node, since what was told before. */
  rates(node) {
    const known = this.samples.get(node.node) ?? [];
    const before = known.findLast((each) => node.time - each[0] >= 1500);
    if (!before) return { published: 0, delivered: 0, opened: 0 };
    const at = (name) => me.sampled.indexOf(name);
    const of = (name) => Math.max(0, (1000 * (node[name] - before[at(name)])) / (node.time - before[0]));
    return { published: of("published"), delivered: of("delivered"), opened: of("opened") };
  }

  /** All nodes as one line: a point each five seconds. `how`: "sum", "max", or "rate" (a sum of rates a second). */
  series(name, how) {
    const at = me.sampled.indexOf(name);
    const end = Math.max(...[...this.samples.values()].map((each) => each.at(-1)?.[0] ?? 0));
    const bins = Math.round(KEPT_MS / SAMPLE_MS);
    const points = new Array(bins).fill(null);
    for (const samples of this.samples.values()) {
      samples.forEach((sample, n) => {
        const bin = bins - 1 - Math.round((end - sample[0]) / SAMPLE_MS);
        if (bin < 0 || (how === "rate" && !n)) return;
        const before = samples[n - 1];
        const value = how === "rate" ? Math.max(0, (1000 * (sample[at] - before[at])) / Math.max(1, sample[0] - before[0])) : sample[at];
        points[bin] = how === "max" ? Math.max(points[bin] ?? 0, value) : (points[bin] ?? 0) + value;
      });
    }
    // a sample comes a little early or late: one missing point between two is no gap
    return { end, points: points.map((value, n) => value ?? (n && points[n + 1] != null ? points[n - 1] : null)) };
  }
}
