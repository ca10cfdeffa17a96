/**
 * Jobs as events tell them, and nothing of how they look: what a payload says, the table of all, their order, and how
 * many there are of each state. Payloads are others': what is missing or of another type is left out, never thrown.
 *
 * @typedef {"failed" | "running" | "queued" | "finished" | "other"} State `other`: the payload says nothing of a state.
 *
 * @typedef {object} Job
 * @property {string} id
 * @property {string} name
 * @property {State} state
 * @property {string} word The state in the publisher's own word.
 * @property {number | null} progress 0 to 100.
 * @property {string} note
 * @property {string} worker
 * @property {number | null} attempt
 * @property {number} began When it was first seen, hub's clock, ms.
 * @property {number} ranAt When it began to run, or it did not.
 * @property {number} time Of the last event.
 * @property {any} payload
 * @property {Told[]} told The last events of it, oldest first.
 *
 * @typedef {{time: number, word: string, progress: number | null, note: string, offset: number}} Told
 */

export const STATES = /** @type {State[]} */ (["failed", "running", "queued", "other", "finished"]);
const TOLD = 40;

/** @type {Record<string, State>} */
const WORDS = {
  queued: "queued", pending: "queued", waiting: "queued", scheduled: "queued", created: "queued", received: "queued",
  running: "running", started: "running", progress: "running", active: "running", retry: "running", retried: "running", retrying: "running",
  succeeded: "finished", success: "finished", finished: "finished", done: "finished", completed: "finished", complete: "finished", cancelled: "finished", canceled: "finished", skipped: "finished",
  failed: "failed", failure: "failed", error: "failed", crashed: "failed", revoked: "failed", timeout: "failed", expired: "failed",
};

/** The first that is text or a number, cut to what a line bears. @param {any[]} values @param {number} [most] */
function text(values, most = 300) {
  const found = values.find((each) => (typeof each === "string" && each !== "") || Number.isFinite(each));
  return found === undefined ? "" : String(found).slice(0, most);
}

/** @param {any} value @returns {number | null} */
function percent(value) {
  const number = typeof value === "object" && value ? (100 * value.done) / value.total : value;
  return typeof number === "number" && Number.isFinite(number) ? Math.min(100, Math.max(0, number)) : null;
}

/** What an event says of a job. @param {import("./types.js").HubEvent} event */
export function read({ key, id, type, payload, final }) {
  const said = payload !== null && typeof payload === "object" && !Array.isArray(payload) ? payload : {};
  const word = text([said.state, said.status, typeof payload === "string" ? payload : "", final ? "final" : ""], 40);
  const state = WORDS[word.toLowerCase()] ?? (final ? "finished" : "other");
  const name = text([key, said.job, said.id, said.job_id, said.task_id, id], 200);
  return {
    id: name,
    name: text([said.name, said.title, said.task], 200) || (Object.keys(said).length ? name : type),
    state,
    word: word || type,
    progress: state === "finished" ? 100 : percent(said.progress ?? said.percent),
    note: text([said.note, said.message, said.error, said.reason, said.detail]),
    worker: text([said.worker, said.host, said.hostname], 100),
    attempt: typeof said.attempt === "number" ? said.attempt : null,
  };
}

/** All jobs of a channel. @typedef {Record<State, number>} Counts */
export class Jobs {
  /** @type {Map<string, Job>} */
  #all = new Map();
  /** By state, in the order in which they came into it: so no list has ever to be sorted. */
  #of = buckets();
  /** @type {Counts} */
  counts = zero();
  /** Grows when a job came, went, or is of another state: an order that was asked for before is out of date. */
  generation = 0;

  get size() {
    return this.#all.size;
  }

  /** @param {string} id */
  get(id) {
    return this.#all.get(id);
  }

  /** What a snapshot holds is all there is. @param {import("./types.js").HubEvent[]} events */
  replace(events) {
    const before = this.#all;
    this.#all = new Map();
    this.#of = buckets();
    this.counts = zero();
    this.generation++;
    const since = (/** @type {import("./types.js").HubEvent} */ event) => before.get(read(event).id)?.ranAt || event.time;
    for (const event of [...events].sort((a, b) => since(a) - since(b))) {
      const job = this.apply(event);
      const known = before.get(job.id);
      if (!known) continue;
      job.told = [...known.told.filter(({ offset }) => offset < (event.offset ?? 0)), ...job.told].slice(-TOLD);
      Object.assign(job, { began: known.began, ranAt: known.ranAt || job.ranAt });
    }
  }

  /** @param {import("./types.js").HubEvent} event @returns {Job} */
  apply(event) {
    const said = read(event);
    const { payload, time, offset = 0 } = event;
    let job = this.#all.get(said.id);
    if (!job) {
      job = { ...said, began: time, ranAt: 0, time, payload, told: [] };
      this.#all.set(said.id, job);
      this.#enter(job, said.state);
    } else if (job.state !== said.state) {
      this.#leave(job);
      this.#enter(job, said.state);
    }
    const { name, worker, attempt } = job;
    Object.assign(job, said, { payload, time });
    // what a later event leaves unsaid stays as it was
    job.name = said.name === said.id ? name : said.name;
    job.worker ||= worker;
    job.attempt ??= attempt;
    if (job.state === "running") job.ranAt ||= time;
    job.told.push({ time, word: said.word, progress: said.progress, note: said.note, offset });
    if (job.told.length > TOLD) job.told.shift();
    return job;
  }

  /** A key left the board. @param {string} id */
  remove(id) {
    const job = this.#all.get(id);
    if (!job) return;
    this.#all.delete(id);
    this.#leave(job);
  }

  /** @param {Job} job @param {State} state */
  #enter(job, state) {
    this.#of[state].set(job.id, job);
    this.counts[state]++;
    this.generation++;
  }

  /** @param {Job} job */
  #leave(job) {
    this.#of[job.state].delete(job.id);
    this.counts[job.state]--;
    this.generation++;
  }

  /**
   * Those of some states that match, in the order in which they are looked at: running ones by when they began to, so
   * that rows stay where they are; of what is over, the newest first.
   * @param {ReadonlySet<State>} states @param {string} search
   */
  list(states, search) {
    const wanted = search.trim().toLowerCase();
    /** @type {Job[]} */
    const found = [];
    for (const state of STATES) {
      if (!states.has(state)) continue;
      const those = [...this.#of[state].values()].filter((job) => !wanted || matches(job, wanted));
      found.push(...(state === "finished" || state === "failed" ? those.reverse() : those));
    }
    return found;
  }
}

/** @param {Job} job @param {string} wanted */
const matches = (job, wanted) => [job.id, job.name, job.note, job.worker, job.word].some((each) => each.toLowerCase().includes(wanted));

/** @returns {Record<State, Map<string, Job>>} */
const buckets = () => ({ failed: new Map(), running: new Map(), queued: new Map(), other: new Map(), finished: new Map() });

/** @returns {Counts} */
const zero = () => ({ failed: 0, running: 0, queued: 0, other: 0, finished: 0 });
