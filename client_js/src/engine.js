import { Connection } from "./connection.js";
import { HubError } from "./errors.js";
import { Requests } from "./requests.js";
import { Timer } from "./timer.js";
import { Topic } from "./topic.js";

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./seats.js").Listener} Listener */
/** @typedef {import("./session.js").Session} Session */
/** A `subscribe` in flight. @typedef {{session: Session, parts: [Topic, number][], timer: Timer}} Command */
/**
 * What an engine tells its hub.
 * @typedef {object} Sink
 * @property {(state: import("./types.js").HubState) => void} state
 * @property {(error: Error) => void} error
 * @property {(kind: string, data: any, channel: string, position: Position | null) => void} unasked From a channel
 *   that the token brought and nobody here subscribed to.
 */

/** A cursor that waits behind this much is not worth sending any more. */
const MAX_BUFFERED = 1 << 20;

/** Topics and requests over one connection. */
export class Engine {
  /** @type {Map<string, Topic>} */
  #topics = new Map();
  /** Topics that may want a command. @type {Set<Topic>} */
  #wanting = new Set();
  /** @type {Map<number | string, Command>} */
  #commands = new Map();
  /** What one said of oneself, by channel: said again on every new subscription. @type {Map<string, Message>} */
  #selves = new Map();
  /** Where everything is sent. @type {Session | null} */
  #session = null;
  /** The last id before something was sent without one; an answer to a later one says that nothing came of it. */
  #toldAfter = -1;
  #settings;
  #sink;
  #connection;
  #requests;

  /**
   * @param {import("./types.js").Settings} settings
   * @param {Sink} sink
   */
  constructor(settings, sink) {
    this.#settings = settings;
    this.#sink = sink;
    this.#requests = new Requests(settings, (command) => this.#transmit(command));
    this.#connection = new Connection(settings, {
      session: (session) => this.#begin(session),
      message: (session, message) => this.#hear(session, message),
      lost: (session) => this.#lost(session),
      state: (state) => this.#entered(state),
      report: (error) => sink.error(error),
      ask: (command) => this.ask(command),
    });
  }

  get state() {
    return this.#connection.state;
  }

  start() {
    this.#connection.start();
  }

  /** @param {import("./types.js").Why} why */
  stop(why) {
    this.#connection.stop(why);
  }

  wake() {
    this.#connection.wake();
  }

  /** @param {import("./types.js").HubState} state */
  #entered(state) {
    this.#sink.state(state);
    if (state.name !== "closed") return;
    this.#requests.close(state.why.reason, state.why.error);
  }

  // --- subscriptions ----------------------------------------------------------------------------------------

  /**
   * @param {string} channel
   * @param {Listener} listener
   */
  attach(channel, listener) {
    const topic = this.#topics.get(channel) ?? new Topic(channel, this.#settings, (wanting) => this.#want(wanting));
    this.#topics.set(channel, topic);
    topic.attach(listener);
  }

  /**
   * @param {string} channel
   * @param {Listener} listener
   */
  detach(channel, listener) {
    const topic = this.#topics.get(channel);
    if (!topic) return;
    topic.detach(listener);
    if (topic.size) return;
    this.#forget(topic);
    this.#session?.send({ type: "unsubscribe", id: this.#requests.nextId(), channel });
    this.#settle();
  }

  /** @param {Topic} topic */
  #forget(topic) {
    this.#topics.delete(topic.channel);
    this.#wanting.delete(topic);
    this.#selves.delete(topic.channel);
  }

  /** What is wanted in one turn goes in one command. @param {Topic} topic */
  #want(topic) {
    this.#wanting.add(topic);
    if (this.#wanting.size === 1) queueMicrotask(() => this.#flush());
  }

  #flush() {
    const session = this.#session;
    if (!session) return;
    const topics = [...this.#wanting].filter((topic) => topic.ready);
    this.#wanting.clear();
    const most = session.welcome?.limits?.channels || 100;
    while (topics.length) this.#subscribe(session, topics.splice(0, most));
  }

  /**
   * @param {Session} session
   * @param {Topic[]} topics
   */
  #subscribe(session, topics) {
    const id = this.#requests.nextId();
    const entries = topics.map((topic) => topic.command(session));
    const timer = new Timer(this.#settings.env);
    const late = new HubError("timeout", "no answer in time", { retry: true });
    timer.set(this.#settings.timeoutMs, () => this.#refused(id, late));
    this.#commands.set(id, { session, parts: topics.map((topic) => [topic, topic.generation]), timer });
    const what = entries.length === 1 ? entries[0] : { channels: entries };
    session.send({ type: "subscribe", id, ...what });
  }

  /** @param {number | string} id */
  #takeCommand(id) {
    const command = this.#commands.get(id);
    command?.timer.clear();
    this.#commands.delete(id);
    return command;
  }

  /** @param {number | string} id @param {HubError} error @returns {boolean} Whether it was a `subscribe`. */
  #refused(id, error) {
    const command = this.#takeCommand(id);
    if (!command) return false;
    for (const [topic, generation] of command.parts) this.#refuse(topic, generation, error);
    this.#settle();
    return true;
  }

  /** @param {Topic} topic @param {number} generation @param {HubError} error */
  #refuse(topic, generation, error) {
    topic.refused(generation, error);
    if (topic.state === "ended" && this.#topics.get(topic.channel) === topic) this.#forget(topic);
  }

  /** @param {Session} session @param {Message} reply */
  #subscribed(session, reply) {
    if (reply.id === undefined) return this.#announced(reply);
    const command = this.#takeCommand(reply.id);
    if (!command) return; // it came too late, and a newer command is on its way
    const results = reply.results ?? [reply];
    command.parts.forEach(([topic, generation], index) => {
      const result = results[index] ?? { code: "malformed", reason: "no result", retry: true };
      if (result.code) this.#refuse(topic, generation, HubError.from(result));
      else this.#accepted(session, topic, generation, result);
    });
    this.#settle();
  }

  /** @param {Session} session @param {Topic} topic @param {number} generation @param {Message} result */
  #accepted(session, topic, generation, result) {
    topic.subscribed(session, generation, result);
    const self = this.#selves.get(topic.channel);
    if (self) session.send({ ...self, id: this.#requests.nextId() });
  }

  /**
   * The hub subscribed a channel of the token. One that is wanted here is subscribed by a command all the same, which
   * brings it back to its position; one that nobody wanted is from now on, for whoever hears all events.
   * @param {Message} reply
   */
  #announced({ channel = "", epoch, offset }) {
    const topic = this.#topics.get(channel);
    if (!topic) this.resumeUnasked(channel, epoch === undefined ? null : { epoch, offset });
    else if (topic.state === "live") topic.again();
  }

  /** @param {string} channel @param {Position | null} position */
  resumeUnasked(channel, position) {
    const apply = (/** @type {string} */ kind, /** @type {any} */ data, /** @type {Position | null} */ now) =>
      this.#sink.unasked(kind, data, channel, now);
    this.attach(channel, { options: {}, position, apply });
  }

  // --- requests ---------------------------------------------------------------------------------------------

  /**
   * @param {Message} command
   * @param {number} [timeoutMs]
   * @returns {Promise<Message>}
   */
  ask(command, timeoutMs) {
    this.#flush(); // commands on one channel take effect in the order sent
    const reply = this.#requests.ask(command, timeoutMs);
    if (command.type === "set_presence") reply.then(() => this.#remember(command), () => {});
    return reply;
  }

  /** @param {Message} command What the hub took as one's own state. */
  #remember(command) {
    const { channel = "" } = command;
    if (this.#topics.has(channel)) this.#selves.set(channel, command);
  }

  /** Without an answer, and only now. @param {Message} command @returns {boolean} Whether it was sent. */
  tell(command) {
    this.#flush();
    const session = this.#session;
    if (!session || session.buffered >= MAX_BUFFERED) return false;
    this.#toldAfter = this.#requests.lastId;
    return this.#transmit(command);
  }

  /** @param {Message} command */
  #transmit(command) {
    this.#session?.send(command, this.#session.welcome?.limits?.message_bytes);
    return !!this.#session;
  }

  // --- the connection ---------------------------------------------------------------------------------------

  /** @param {Session} session */
  #begin(session) {
    this.#session = session;
    this.#toldAfter = -1;
    for (const topic of this.#topics.values()) topic.again();
    this.#flush();
    this.#requests.resend();
    this.#settle();
  }

  /** @param {Session} session */
  #lost(session) {
    if (this.#session === session) this.#session = null;
    for (const [id, command] of this.#commands) if (command.session === session) this.#takeCommand(id);
    for (const topic of this.#topics.values()) topic.lost(session);
  }

  /** During a hand-over: once every topic has its answer, the old session may go. */
  #settle() {
    if (!this.#connection.handingOver) return;
    for (const topic of this.#topics.values()) if (topic.state === "subscribing") return;
    this.#connection.settled();
  }

  /**
   * Of a message that the hub could not read it does not know the id: its complaint is about the only command that has
   * no answer yet, where there is one only.
   * @param {Message} message
   */
  #owner({ type, code, channel }) {
    if (type !== "hub.error" || code !== "bad_message" || channel || this.#toldAfter >= 0) return;
    const waiting = [...this.#commands.keys(), ...this.#requests.unanswered];
    return waiting.length === 1 ? waiting[0] : undefined;
  }

  /** @param {Session} session @param {Message} message */
  #hear(session, message) {
    const { channel = "", type, id = this.#owner(message) } = message;
    if (typeof id === "number" && id > this.#toldAfter) this.#toldAfter = -1;
    if (!type.startsWith("hub.")) return this.#topics.get(channel)?.event(session, message);
    if (type === "hub.subscribed") return this.#subscribed(session, message);
    message.id = id;
    const refused = type === "hub.error" && id !== undefined && this.#refused(id, HubError.from(message));
    if (id !== undefined && !refused) this.#requests.settle(message);
    const topic = this.#topics.get(channel);
    // the hub may count events that are still on their way here: its top is at least cursor + unread
    if (type === "hub.acked") return topic?.unread(message, message.offset + message.unread);
    if (id !== undefined) return;
    if (type === "hub.error") return this.#sink.error(HubError.from(message));
    if (type !== "hub.unsubscribed") {
      topic?.take(session, message);
      return this.#settle();
    }
    if (!topic) return;
    this.#forget(topic);
    topic.end(new HubError("unsubscribed", String(message.reason), { channel, cause: message.code }));
  }
}
