/**
 * What a connection went through: when it stood, when it was away, what was missed meanwhile and what filled that.
 *
 * @typedef {{from: number, to: number, up: boolean}} Stretch
 * @typedef {{time: number, kind: "good" | "bad" | "wait", text: string}} Entry
 */
const KEPT_MS = 10 * 60_000;
const ENTRIES = 60;
const SETTLE_MS = 700; // from the subscription's answer on: what was missed follows it at once
const PATIENCE_MS = 10_000; // for that answer

export class LinkLog {
  /** @type {Stretch[]} */
  stretches = [];
  /** Newest first. @type {Entry[]} */
  entries = [];
  /** When something was lost for good. @type {number[]} */
  losses = [];
  events = 0;
  lost = 0;
  twice = 0;
  /** ms between the publication and here, of the last event; null until the hub's clock is known. @type {number | null} */
  latency = null;
  #now;
  /** @type {number[]} */
  #arrivals = [];
  /** The hub's clock less ours. @type {number | null} */
  #skew = null;
  /** @type {number | undefined} */
  #offset;
  #awaySince = 0;
  /** @type {{since: number, live: number, count: number, away: number} | null} */
  #return = null;

  /** @param {() => number} [now] */
  constructor(now = Date.now) {
    this.#now = now;
  }

  /** The hub said its time; half of the way there and back is taken off. @param {number} hub @param {number} sent */
  clock(hub, sent) {
    const now = this.#now();
    this.#skew = hub - (sent + (now - sent) / 2);
  }

  /** @param {import("./types.js").HubState} state */
  state(state) {
    const now = this.#now();
    const up = state.name === "connected";
    const last = this.stretches[this.stretches.length - 1];
    // what was before the first connection is no time away
    if (last ? last.up !== up : up) {
      if (last) last.to = now;
      this.stretches.push({ from: now, to: 0, up });
      while (this.stretches.length > 1 && now - this.stretches[1].from > KEPT_MS) this.stretches.shift();
    }
    if (up && this.#awaySince) this.#return = { since: now, live: 0, count: 0, away: now - this.#awaySince };
    if (up) this.#awaySince = 0;
    else if (last?.up) {
      this.#awaySince = now;
      this.#say("wait", ("why" in state && state.why.reason) || "the connection is gone");
    }
    if (state.name === "closed") this.#say("bad", `closed: ${state.why.reason}`);
  }

  /** The channel is subscribed, again. */
  live() {
    if (this.#return) this.#return.live = this.#now();
  }

  /** @param {import("./types.js").HubEvent} event */
  came({ offset, conflated = 0, time }) {
    const now = this.#now();
    this.events++;
    this.#arrivals.push(now);
    if (this.#return && this.#skew !== null && time < this.#return.since + this.#skew) this.#return.count++;
    else if (this.#skew !== null) this.latency = Math.max(0, now + this.#skew - time);
    if (offset === undefined) return;
    if (this.#offset !== undefined) {
      if (offset <= this.#offset) this.twice++;
      else this.lost += Math.max(0, offset - this.#offset - 1 - conflated);
    }
    this.#offset = offset;
  }

  /** @param {number} count @param {import("./types.js").Position} position */
  snapshot(count, position) {
    if (this.#offset === undefined) this.#say("good", `the snapshot holds ${count} job${count === 1 ? "" : "s"}`);
    this.#offset = position.offset;
  }

  /** @param {import("./types.js").Gap} gap */
  gap({ from, to, cause }) {
    const range = from !== undefined && to !== undefined && to >= from ? `events ${from} to ${to} are gone` : "the numbering began anew";
    this.losses.push(this.#now());
    this.#say("bad", `${range} (${cause}); the snapshot fills in what stands now`);
  }

  /** What is due: the word on a return, once it is quiet; events a second of the last five. */
  tick() {
    const now = this.#now();
    const { since = 0, live = 0, count = 0, away = 0 } = this.#return ?? {};
    if (this.#return && (live ? now - live >= SETTLE_MS : now - since >= PATIENCE_MS)) {
      this.#return = null;
      this.#say("good", `back after ${(away / 1000).toFixed(1)} s: ${count ? `${count} missed event${count === 1 ? "" : "s"} came` : "nothing was missed"}`);
    }
    while (this.#arrivals.length && now - this.#arrivals[0] > 5000) this.#arrivals.shift();
    return this.#arrivals.length / 5;
  }

  /** Pieces of the last ten minutes, as parts of 1. @returns {{at: number, width: number, up: boolean}[]} */
  pieces() {
    const now = this.#now();
    const start = now - KEPT_MS;
    return this.stretches.filter(({ to }) => !to || to > start).map(({ from, to, up }) => {
      const at = Math.max(0, (from - start) / KEPT_MS);
      return { at, width: ((to || now) - start) / KEPT_MS - at, up };
    });
  }

  /** @param {"good" | "bad" | "wait"} kind @param {string} text */
  #say(kind, text) {
    this.entries.unshift({ time: this.#now(), kind, text });
    this.entries.length = Math.min(ENTRIES, this.entries.length);
  }
}
