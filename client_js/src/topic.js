import { Backoff } from "./backoff.js";
import { move } from "./machine.js";
import { Members } from "./members.js";
import { at, beyondFork, choose, covers, merge } from "./seats.js";
import { Timer } from "./timer.js";
import { Unread } from "./unread.js";

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./errors.js").HubError} HubError */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./seats.js").Listener} Listener */
/** @typedef {import("./seats.js").Seat} Seat */
/**
 * waiting      a command has to be sent, when there is a session and nothing forbids it
 * subscribing  it was sent; its answer, or the rest of a paged snapshot, is awaited
 * live         every seat is served
 * ended        refused, or a right ended
 * @typedef {"waiting" | "subscribing" | "live" | "ended"} TopicState
 * @type {Record<TopicState, TopicState[]>}
 */
const MOVES = {
  waiting: ["waiting", "subscribing", "ended"],
  subscribing: ["live", "waiting", "ended"],
  live: ["subscribing", "waiting", "ended"],
  ended: [],
};

/**
 * One channel on the wire. The hub keeps one subscription of it for a connection; here any number of listeners share
 * it, each with its own position. What one of them lacks is asked for by a new command, which replaces the wire's
 * stream by one that starts earlier; the others drop by position what they know.
 *
 * During a hand-over the old session (`link`) delivers until the new one has answered: exactly one stream counts.
 */
export class Topic {
  /** @type {TopicState} */
  #state = "waiting";
  /** Counts the commands: an answer to an older one is dropped. */
  generation = 0;
  /** @type {Map<Listener, Seat>} */
  #seats = new Map();
  /** Whose stream serves the seats. @type {Session | null} */
  #link = null;
  /** Where the command in flight was sent. @type {Session | null} */
  #target = null;
  /** The seats that the command in flight asks for. @type {Seat[]} */
  #asked = [];
  /** @type {Position | undefined} */
  #since;
  /** The message whose snapshot is still coming, page by page. @type {Message | null} */
  #paging = null;
  /** Of the stream; none on ephemeral channels. @type {string | undefined} */
  #epoch;
  #members = new Members();
  #unread = new Unread();
  #retry;
  #backoff;
  #wants;

  /**
   * @param {string} channel
   * @param {import("./types.js").Settings} settings
   * @param {(topic: Topic) => void} wants A command should be sent soon.
   */
  constructor(channel, settings, wants) {
    this.channel = channel;
    this.#wants = wants;
    this.#retry = new Timer(settings.env);
    this.#backoff = new Backoff(settings.minBackoffMs, settings.maxBackoffMs, settings.env.random);
    this.timeoutMs = settings.timeoutMs;
  }

  get state() {
    return this.#state;
  }

  get size() {
    return this.#seats.size;
  }

  /** @param {TopicState} state */
  #enter(state) {
    CHECK: move(MOVES, this.#state, state);
    this.#state = state;
    this.#retry.clear();
    this.#paging = null;
    if (state !== "live") this.generation++;
  }

  /** A command is needed: a new session stands, say, while an older one may still deliver. @param {number} [inMs] Not now. */
  again(inMs = 0) {
    this.#enter("waiting");
    if (inMs) this.#retry.set(inMs, () => this.#wants(this));
    else this.#wants(this);
  }

  /** Whether a command may and has to be sent. */
  get ready() {
    return this.#state === "waiting" && !this.#retry.pending;
  }

  // --- listeners --------------------------------------------------------------------------------------------

  /** @param {Listener} listener */
  attach(listener) {
    this.#seats.set(listener, { listener, position: listener.position, served: false });
    // while a command is under way its answer shows that this one is not served
    if (this.#state === "live") this.again();
    else if (this.#state === "waiting") this.#wants(this);
  }

  /** @param {Listener} listener */
  detach(listener) {
    this.#seats.delete(listener);
    if (this.#seats.size === 0) this.#enter("ended");
  }

  /** @param {Seat} seat @param {string} kind @param {any} data */
  #tell(seat, kind, data) {
    // an earlier callback may have taken it away
    if (this.#seats.has(seat.listener)) seat.listener.apply(kind, data, seat.position);
  }

  /** @param {Seat} seat @param {boolean} [served] */
  #serve(seat, served = true) {
    if (seat.served === served || (served && !this.#link)) return; // a callback may have closed the hub
    seat.served = served;
    this.#tell(seat, "state", { name: served ? "live" : "waiting" });
  }

  /** The seats that are still there when it is their turn: a callback may unsubscribe any of them. */
  *#all() {
    for (const seat of [...this.#seats.values()]) if (this.#seats.has(seat.listener)) yield seat;
  }

  // --- the command ------------------------------------------------------------------------------------------

  /**
   * The entry of a `subscribe` for whoever is not served; for all, where a new session takes over.
   * @param {Session} session
   */
  command(session) {
    const seats = [...this.#seats.values()];
    const { asked, since } = choose(seats);
    this.#asked = asked;
    this.#since = since;
    this.#enter("subscribing");
    this.#target = session;
    // what has no offset could come from both sockets of a hand-over: rather once too few than twice
    if (!this.#epoch && this.#link !== session) this.#link = null;
    return { channel: this.channel, since, ...merge(seats) };
  }

  /** @param {Session} session */
  lost(session) {
    if (session === this.#link) {
      this.#link = null;
      for (const seat of this.#all()) this.#serve(seat, false);
    }
    if (this.#state === "live" && !this.#link) this.again();
    else if (this.#state === "subscribing" && session === this.#target) this.again();
  }

  /**
   * @param {number} generation
   * @param {HubError} error
   */
  refused(generation, error) {
    if (generation !== this.generation) return;
    if (error.retry) return this.again((error.retryAfterMs ?? 0) + this.#backoff.next());
    this.end(error, this.#asked);
  }

  /** A right ended, of all or of some. @param {HubError} error @param {Seat[]} [seats] */
  end(error, seats = [...this.#seats.values()]) {
    for (const { listener } of seats) this.#seats.delete(listener);
    if (this.#seats.size) this.again();
    else this.#enter("ended");
    for (const { listener, position } of seats) listener.apply("state", { name: "ended", error }, position);
  }

  // --- the answer -------------------------------------------------------------------------------------------

  /**
   * @param {Session} session
   * @param {number} generation
   * @param {Message} reply `hub.subscribed`, or an entry of its `results`.
   */
  subscribed(session, generation, reply) {
    if (generation === this.generation) this.#accept(session, reply);
  }

  /**
   * The snapshot of `reply` comes in pages; until it is whole nobody's position moves, so that a cut between two
   * pages is resumed from before the first.
   * @param {Session} session
   * @param {Message} reply
   */
  #page(session, reply) {
    this.#link = session;
    this.#paging = { ...reply, more: false, snapshot: [...reply.snapshot] };
    this.#awaitPage();
  }

  #awaitPage() {
    this.#retry.set(this.timeoutMs, () => this.again());
  }

  /** @param {Session} session @param {Message} page */
  #snapshot(session, page) {
    const whole = this.#paging;
    if (!whole) return;
    whole.snapshot.push(...page.events);
    if (page.more) return this.#awaitPage();
    this.#accept(session, whole);
  }

  /** @param {Session} session @param {Message} reply */
  #accept(session, reply) {
    if (reply.more) return this.#page(session, reply);
    const since = this.#since;
    const recovered = reply.recovered === true;
    this.#enter("live");
    this.#link = session;
    if (reply.epoch !== this.#epoch) this.#unread = new Unread();
    this.#epoch = reply.epoch;
    const start = at(reply.epoch, recovered && since ? since.offset : reply.offset);
    let behind = false;
    for (const seat of this.#all()) {
      if (!this.#epoch) this.#serve(seat);
      else if (this.#asked.includes(seat) && !beyondFork(seat, since, reply)) this.#answer(seat, reply, recovered);
      else if (covers(start, seat.position)) this.#serve(seat);
      else {
        this.#serve(seat, false);
        behind = true;
      }
    }
    if (reply.members) this.#presence("list", reply.members);
    this.unread(reply);
    if (behind && this.#state === "live") this.again();
  }

  /** @param {Seat} seat @param {Message} reply @param {boolean} recovered */
  #answer(seat, reply, recovered) {
    if (recovered && seat.position) seat.position = at(reply.epoch, seat.position.offset);
    else this.#jump(seat, reply);
    this.#serve(seat);
  }

  /**
   * To another place of the stream, with what is lost on the way there.
   * @param {Seat} seat
   * @param {Partial<Message>} to `{epoch, offset, gap?, snapshot?}`
   */
  #jump(seat, { epoch, offset, gap, snapshot }) {
    const old = seat.position;
    const known = old?.epoch === epoch && gap?.cause !== "epoch";
    // the session that is being left has brought this one further already
    const reached = old && known ? old.offset : -1;
    if (reached >= offset) return;
    seat.position = at(epoch, offset);
    if (gap && old) this.#tell(seat, "gap", { ...gap, from: Math.max(gap.from, reached + 1) });
    if (snapshot) this.#tell(seat, "snapshot", snapshot);
  }

  // --- the stream -------------------------------------------------------------------------------------------

  /**
   * Whatever the hub says about this channel on its own.
   * @param {Session} session
   * @param {Message} message
   */
  take(session, message) {
    if (session !== this.#link) return;
    const { type, members } = message;
    if (type === "hub.token_expiring") this.#tellServed("expiring", message.expires_in_ms);
    else if (type === "hub.snapshot") this.#snapshot(session, message);
    else if (type === "hub.gap") this.#lostBetweenNodes(message);
    else if (type === "hub.resubscribe") this.#resubscribed(session, message);
    else if (type === "hub.presence") this.#presence("list", members);
    else if (/^hub\.(join|leave|update)$/.test(type)) this.#presence(/** @type {any} */ (type.slice(4)), members);
  }

  /** @param {Session} session @param {any} event */
  event(session, event) {
    if (session !== this.#link || this.#paging) return;
    const { offset, conflated = 0 } = event;
    if (offset === undefined) return this.#tellServed("event", event);
    let hole = false;
    this.#unread.came(offset);
    for (const seat of this.#all()) {
      if (!seat.served || !seat.position) continue;
      const skipped = offset - seat.position.offset - 1;
      if (skipped < 0) continue;
      if (skipped > conflated) {
        // never in a stream that keeps the contract; asking again is right whatever went wrong
        this.#serve(seat, false);
        hole = true;
        continue;
      }
      this.#backoff.reset();
      seat.position = at(seat.position.epoch, offset);
      // the session that is being left may have brought some of those that are merged into this one
      this.#tell(seat, "event", skipped === conflated ? event : { ...event, conflated: skipped });
      this.#count(seat);
    }
    if (hole && this.#state === "live") this.again(this.#backoff.next());
  }

  /** @param {string} kind @param {any} data */
  #tellServed(kind, data) {
    for (const seat of this.#all()) if (seat.served) this.#tell(seat, kind, data);
  }

  /** @param {Message} message */
  #lostBetweenNodes({ from, to, cause, filled }) {
    if (filled) return; // they follow, and nothing is missing
    for (const seat of this.#all()) {
      if (!seat.served || !seat.position) continue;
      this.#jump(seat, { epoch: seat.position.epoch, offset: to, gap: { from, to, cause } });
    }
  }

  /** @param {Session} session @param {Message} message */
  #resubscribed(session, message) {
    const served = [...this.#seats.values()].filter((seat) => seat.served && seat.position);
    if (!message.gap) {
      // only the epoch's name changed, for whoever is where the stream is; what is ahead may lie beyond the fork
      this.#epoch = message.epoch;
      let ahead = false;
      for (const seat of served) {
        if (/** @type {Position} */ (seat.position).offset <= message.offset) seat.position = at(message.epoch, message.offset);
        else {
          this.#serve(seat, false);
          ahead = true;
        }
      }
      if (ahead && this.#state === "live") this.again();
      return;
    }
    if (this.#paging) return this.#accept(session, message); // in place of the pages so far
    if (this.#state === "subscribing") {
      // the answer to the command in flight will say the same; until then this stream's offsets mean nothing
      this.#link = null;
      for (const seat of served) this.#serve(seat, false);
      return;
    }
    this.#asked = served;
    this.#since = undefined;
    this.#enter("subscribing");
    this.#target = session;
    this.#accept(session, message);
  }

  /** @param {import("./types.js").PresenceChange["type"]} type @param {import("./types.js").Member[]} members */
  #presence(type, members) {
    const change = { type, members };
    this.#members.apply(change);
    const { list } = this.#members;
    for (const seat of this.#all()) {
      if (seat.listener.options.presence) this.#tell(seat, "presence", { members: list, change });
    }
  }

  /** What the hub says of the inbox. @param {Message} message `hub.acked`, or an answer. @param {number} [top] An offset it had reached. */
  unread({ unread, offset, epoch }, top = offset) {
    if (unread === undefined || epoch !== this.#epoch) return;
    this.#unread.said(unread, top);
    for (const seat of this.#all()) this.#count(seat);
  }

  /** @param {Seat} seat */
  #count(seat) {
    const { count } = this.#unread;
    if (count !== undefined) this.#tell(seat, "unread", count);
  }
}
