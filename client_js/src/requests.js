import { HubError } from "./errors.js";
import { Timer } from "./timer.js";

/** @typedef {import("./types.js").Message} Message */
/**
 * queued   no session has taken it yet
 * sent     a session has; its answer may still come, or be lost with the session
 * @typedef {object} Request
 * @property {Message} command
 * @property {"queued" | "sent"} state
 * @property {Timer} timer
 * @property {number} timeoutMs
 * @property {(reply: Message) => void} resolve
 * @property {(error: HubError) => void} reject
 */

/** The hub remembers an `event_id` for 5 minutes: a repetition after that would be stored twice. */
const UNKNOWN_AFTER_MS = 240_000;

/**
 * Commands that await an answer, by id, in the order they were asked. All of them may be repeated (a publication by
 * its `event_id`), so what a lost session left unanswered goes again on the next one.
 */
export class Requests {
  /** @type {Map<number | string, Request>} */
  #pending = new Map();
  #settings;
  #send;
  lastId = 0;

  /**
   * @param {import("./types.js").Settings} settings
   * @param {(command: Message, timeoutMs: number) => boolean} send Whether a session took it.
   */
  constructor(settings, send) {
    this.#settings = settings;
    this.#send = send;
  }

  nextId() {
    return ++this.lastId;
  }

  /**
   * @param {Message} command Without `id`.
   * @param {number} [timeoutMs] From now, for a publication until it is sent; 0: no limit.
   * @returns {Promise<Message>}
   */
  ask(command, timeoutMs = command.type === "publish" ? 0 : this.#settings.timeoutMs) {
    return new Promise((resolve, reject) => {
      if (this.#pending.size >= this.#settings.maxPending) {
        return reject(new HubError("queue_full", "too many requests", { retry: true }));
      }
      const id = this.nextId();
      /** @type {Request} */
      const request = { command: { ...command, id }, state: "queued", timer: new Timer(this.#settings.env), timeoutMs, resolve, reject };
      this.#pending.set(id, request);
      if (timeoutMs) {
        request.timer.set(timeoutMs, () => this.#giveUp(id, "timeout", "no answer in time", { retry: true }));
      }
      this.#offer(id, request);
    });
  }

  /**
   * @param {number | string} id
   * @param {Request} request
   */
  #offer(id, request) {
    try {
      if (!this.#send(request.command, request.timeoutMs) || request.state === "sent") return;
    } catch (cause) {
      const error = cause instanceof HubError ? cause : new HubError("bad_message", String(cause), { cause });
      return this.#take(id)?.reject(error);
    }
    request.state = "sent";
    if (request.command.type !== "publish") return;
    const lost = new HubError("unknown_outcome", "no answer: stored or not");
    request.timer.set(UNKNOWN_AFTER_MS, () => this.#take(id)?.reject(lost));
  }

  /** A new session: everything unanswered goes to it. */
  resend() {
    for (const [id, request] of this.#pending) this.#offer(id, request);
  }

  /** A second answer to a repeated command finds nobody. @param {Message} reply */
  settle(reply) {
    const request = this.#take(/** @type {number} */ (reply.id));
    if (reply.type === "hub.error") request?.reject(HubError.from(reply));
    else request?.resolve(reply);
  }

  /** Those that a session has and did not answer. */
  get unanswered() {
    return [...this.#pending].filter(([, { state }]) => state === "sent").map(([id]) => id);
  }

  /** @param {string} reason @param {unknown} [cause] */
  close(reason, cause) {
    for (const id of this.#pending.keys()) this.#giveUp(id, "closed", `closed: ${reason}`, { cause });
  }

  /**
   * Unanswered: what was never sent was not done.
   * @param {number | string} id
   * @param {string} code
   * @param {string} reason
   * @param {object} more
   */
  #giveUp(id, code, reason, more) {
    const request = this.#take(id);
    request?.reject(new HubError(code, reason, { ...more, outcome: request.state === "sent" ? "unknown" : "not_done" }));
  }

  /** @param {number | string} id */
  #take(id) {
    const request = this.#pending.get(id);
    request?.timer.clear();
    this.#pending.delete(id);
    return request;
  }
}
