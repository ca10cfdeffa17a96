/**
 * A hub in memory that keeps the contract, over a network that does not: latency, cuts, half-open links, refusals,
 * black holes. Everything happens on a fake clock, so a schedule is the same every time.
 */

/** What the hub keeps of a channel: the truth that the fuzz compares with. */
class Channel {
  constructor(name, mode, random) {
    this.name = name;
    this.mode = mode;
    this.random = random;
    this.serial = 0;
    this.ids = new Map();
    this.history = new Map(); // every numbering there ever was: epoch → its events, whole
    this.fork(null);
  }

  /** A new numbering; the old one is remembered up to `keep` events, or not at all. */
  fork(keep) {
    const old = this.epoch && { epoch: this.epoch, events: this.events };
    this.epoch = `${this.name}-e${++this.serial}`;
    this.previous = keep === null ? null : { epoch: old.epoch, offset: keep };
    this.events = keep === null ? [] : old.events.slice(0, keep);
    this.first = keep === null ? 1 : Math.min(this.first, keep + 1);
    this.history.set(this.epoch, this.events);
  }

  get top() {
    return this.events.length;
  }

  append(fields) {
    const event = { type: "moved", channel: this.name, offset: this.top + 1, ...fields };
    if (this.mode === "ephemeral") return { ...event, offset: undefined };
    this.events.push(event);
    this.ids.set(event.id, event);
    return event;
  }

  trim(keep) {
    this.first = Math.max(this.first, this.top - keep + 1);
  }

  snapshot() {
    const byKey = new Map();
    for (const event of this.events) {
      byKey.delete(event.key);
      byKey.set(event.key, event);
    }
    return [...byKey.values()];
  }

  /** The answer to a position (section 5), and where the stream starts. */
  resume(since) {
    const { epoch, top } = this;
    const place = { epoch, offset: top };
    const extra = this.mode === "state" ? { snapshot: this.snapshot() } : {};
    if (!since) return { reply: { ...place, ...extra }, start: top };
    const known = since.epoch === epoch || (this.previous?.epoch === since.epoch && since.offset <= this.previous.offset);
    const gap = (from, cause) => ({ reply: { ...place, recovered: false, gap: { from, to: top, cause }, ...extra }, start: top });
    if (!known || since.offset > top) return gap(1, "epoch");
    if (since.offset + 1 < this.first && since.offset < top) return gap(since.offset + 1, "trimmed");
    return { reply: { ...place, recovered: true, missed: top - since.offset }, start: since.offset };
  }
}

/** The hub's side of one connection. */
class HubSession {
  constructor(hub, link) {
    this.hub = hub;
    this.link = link;
    this.id = `c_${++hub.serial}`;
    this.subscriptions = new Map();
    this.drained = false;
    hub.sessions.add(this);
  }

  send(message) {
    this.link.toClient(JSON.stringify(message));
  }

  welcome() {
    const { hub } = this;
    this.send({
      type: "hub.welcome",
      connection: this.id,
      node: "n",
      user: "ann",
      expires_at: 0,
      heartbeat_ms: 25_000,
      reconnect: { min_ms: 300, max_ms: 5000 },
      resume: `r-${this.id}`,
      limits: { message_bytes: 65_536, frame_bytes: 524_288, channels: 5 },
    });
    for (const name of hub.tokenChannels) this.subscribe(undefined, { channel: name });
  }

  receive(message) {
    const { type, id } = message;
    if (type === "ping") return this.send({ type: "hub.pong", id, time: 0 });
    if (type === "authenticate") return this.send({ type: "hub.authenticated", id, user: "ann", expires_at: 0 });
    if (type === "subscribe") return this.subscribe(id, message);
    if (type === "unsubscribe") {
      this.subscriptions.delete(message.channel);
      return this.send({ type: "hub.unsubscribed", id, channel: message.channel });
    }
    if (type === "publish") return this.publish(message);
    this.send({ type: "hub.error", id, code: "unknown_type", reason: type, retry: false });
  }

  subscribe(id, message) {
    const { hub } = this;
    const entries = message.channels ?? [message];
    if (hub.chance(hub.chaos.refuse)) {
      return this.send({ type: "hub.error", id, code: "rate_limited", reason: "slowly", retry: true, retry_after_ms: 200 });
    }
    const after = [];
    const results = entries.map((entry) => {
      if (message.channels && hub.chance(hub.chaos.refuse)) {
        return { channel: entry.channel, code: "unavailable", reason: "later", retry: true, retry_after_ms: 100 };
      }
      const channel = hub.channels.get(entry.channel);
      const { reply, start } = channel.mode === "ephemeral" ? { reply: {}, start: 0 } : channel.resume(entry.since);
      const subscription = { sent: start, held: [], holding: false };
      this.subscriptions.set(channel.name, subscription);
      const pages = this.paged(channel, reply);
      after.push(() => {
        pages.forEach((page) => this.send(page));
        for (const event of channel.mode === "ephemeral" ? [] : channel.events.slice(start)) this.deliver(channel, subscription, event);
      });
      return { channel: channel.name, ...reply };
    });
    this.send(message.channels ? { type: "hub.subscribed", id, results } : { type: "hub.subscribed", id, ...results[0] });
    for (const follow of after) follow();
  }

  /** A long snapshot follows its reply in pages. */
  paged(channel, reply) {
    if (!reply.snapshot || reply.snapshot.length < 2 || !this.hub.chance(0.3)) return [];
    const events = reply.snapshot;
    reply.snapshot = [];
    reply.more = true;
    return events.map((event, index) => ({ type: "hub.snapshot", channel: channel.name, events: [event], more: index < events.length - 1 }));
  }

  /** In order; under pressure a state channel's older event of a key gives way to a newer one. */
  deliver(channel, subscription, event) {
    if (subscription.holding) {
      if (channel.mode === "state") subscription.held = subscription.held.filter((held) => held.final || held.key !== event.key);
      subscription.held.push(event);
      return;
    }
    this.push(subscription, event);
  }

  push(subscription, event) {
    if (event.offset === undefined) return this.send(event);
    const conflated = event.offset - subscription.sent - 1;
    subscription.sent = event.offset;
    this.send(conflated ? { ...event, conflated } : event);
  }

  /** A slow reader: everything of one channel waits, and is merged meanwhile. */
  hold(name, ms) {
    const subscription = this.subscriptions.get(name);
    if (!subscription || subscription.holding) return;
    subscription.holding = true;
    this.hub.clock.setTimeout(() => {
      subscription.holding = false;
      if (this.subscriptions.get(name) !== subscription || !this.hub.sessions.has(this)) return;
      for (const event of subscription.held.splice(0)) this.push(subscription, event);
    }, ms);
  }

  publish({ id, channel: name, event: type, payload, key, event_id }) {
    const channel = this.hub.channels.get(name);
    if (this.hub.chance(this.hub.chaos.refuse)) {
      return this.send({ type: "hub.error", id, code: "rate_limited", reason: "slowly", retry: true, retry_after_ms: 10 });
    }
    const event = channel.ids.get(event_id) ?? this.hub.publish(name, { type, payload, key, id: event_id, time: 0, from: "ann" });
    this.send({ type: "hub.published", id, channel: name, epoch: channel.epoch, offset: event.offset, event_id });
  }

  drain(windowMs, deadlineMs) {
    this.drained = true;
    this.link.socket.drainedAt = this.hub.clock.time;
    this.send({ type: "hub.drain", reconnect: { min_ms: 0, max_ms: windowMs }, deadline_ms: deadlineMs });
    this.hub.clock.setTimeout(() => this.close(4100, { min_ms: 0, max_ms: 500 }), deadlineMs);
  }

  close(code, reconnect = null) {
    if (!this.hub.sessions.delete(this)) return;
    if (this.hub.chance(0.8)) this.send({ type: "hub.close", code, reason: "told", reconnect });
    this.link.closeFromHub(code);
  }
}

export class FakeHub {
  constructor(clock, random) {
    this.clock = clock;
    this.random = random;
    this.channels = new Map();
    this.tokenChannels = [];
    this.sessions = new Set();
    this.serial = 0;
    this.published = 0;
    this.chaos = { refuse: 0 };
  }

  chance(probability) {
    return this.random() < probability;
  }

  open(name, mode) {
    this.channels.set(name, new Channel(name, mode, this.random));
  }

  publish(name, fields = {}) {
    const channel = this.channels.get(name);
    const event = channel.append({ id: `h_${++this.published}`, time: 0, payload: this.published, key: `k${this.published % 3}`, ...fields });
    for (const session of this.sessions) {
      const subscription = session.subscriptions.get(name);
      if (subscription) session.deliver(channel, subscription, event);
    }
    return event;
  }

  /** The numbering forks: `keep` events survive, or nothing does. Subscribers are told as the contract says. */
  fork(name, keep) {
    const channel = this.channels.get(name);
    channel.fork(keep);
    for (const session of this.sessions) {
      const subscription = session.subscriptions.get(name);
      if (!subscription) continue;
      subscription.held = [];
      const { epoch, top } = channel;
      const lost = keep === null || subscription.sent > keep;
      if (!lost) {
        session.send({ type: "hub.resubscribe", channel: name, epoch, offset: subscription.sent, gap: null });
        for (const event of channel.events.slice(subscription.sent)) session.deliver(channel, subscription, event);
        continue;
      }
      subscription.sent = top;
      const snapshot = channel.mode === "state" ? { snapshot: channel.snapshot() } : {};
      session.send({ type: "hub.resubscribe", channel: name, epoch, offset: top, gap: { from: 1, to: top, cause: "epoch" }, ...snapshot });
    }
  }

  /** Events that never came between nodes. @param {boolean} filled */
  loseBetweenNodes(name, count, filled) {
    const channel = this.channels.get(name);
    const from = channel.top + 1;
    for (let n = 0; n < count; n++) channel.append({ id: `h_${++this.published}`, time: 0, payload: 0, key: `k${n % 3}` });
    for (const session of this.sessions) {
      const subscription = session.subscriptions.get(name);
      if (!subscription || subscription.holding) {
        if (subscription) for (const event of channel.events.slice(from - 1)) session.deliver(channel, subscription, event);
        continue;
      }
      session.send({ type: "hub.gap", channel: name, from, to: channel.top, cause: "backplane", filled });
      if (filled) for (const event of channel.events.slice(from - 1)) session.deliver(channel, subscription, event);
      else subscription.sent = channel.top;
    }
  }
}

/** The network between a client's sockets and the hub. */
export class FakeNetwork {
  constructor(clock, random, hub) {
    this.clock = clock;
    this.random = random;
    this.hub = hub;
    this.sockets = [];
    this.links = new Set();
    this.latency = 20;
    /** What happens to a new connection: open, refused, swallowed, or told to come later. */
    this.mode = "open";
    this.online = true;
    this.goodTokens = true;
    const network = this;
    this.WebSocket = class {
      constructor(url, protocols) {
        return new ClientSocket(network, url, protocols);
      }
    };
  }

  get open() {
    return this.sockets.filter((socket) => socket.readyState < 2);
  }

  /** Every link is cut. The client learns of it, or (half-open) does not; the hub learns of it later. */
  cut(halfOpen) {
    for (const link of [...this.links]) link.cut(halfOpen);
  }
}

class ClientSocket {
  constructor(network, url, protocols) {
    this.url = url;
    this.protocols = protocols;
    this.readyState = 0;
    this.bufferedAmount = 0;
    this.openedAt = network.clock.time;
    this.closedAt = Infinity;
    this.drainedAt = Infinity;
    this.onopen = this.onmessage = this.onclose = this.onerror = null;
    network.sockets.push(this);
    this.network = network;
    this.link = new Link(network, this);
    network.onSocket?.();
  }

  send(data) {
    if (this.readyState !== 1) throw new Error("send on a socket that is not open");
    this.link.toHub(data);
  }

  close() {
    if (this.readyState >= 2) return;
    this.ended();
    this.link.closeFromClient();
  }

  ended() {
    this.readyState = 3;
    this.closedAt = this.network.clock.time;
    this.network.onSocket?.();
  }
}

class Link {
  constructor(network, socket) {
    this.network = network;
    this.socket = socket;
    this.alive = true;
    this.last = { hub: 0, client: 0 };
    network.links.add(this);
    const { mode, online } = network;
    if (mode === "swallow") return;
    if (mode === "refuse" || !online) return this.later("client", () => this.ends(1006));
    this.later("client", () => {
      if (socket.readyState !== 0) return; // closed before it was open
      socket.readyState = 1;
      socket.onopen?.({});
    });
    if (mode === "later") {
      return this.later("client", () => {
        this.message(JSON.stringify({ type: "hub.close", code: 4103, reason: "full", reconnect: { min_ms: 500, max_ms: 1500 } }));
        this.ends(4103);
      });
    }
    if (!network.goodTokens) return this.later("client", () => this.ends(4201));
    this.later("hub", () => {
      this.session = new HubSession(network.hub, this);
      this.session.welcome();
    });
  }

  /** In order, each after its own latency. */
  later(side, run) {
    const { clock, latency, random } = this.network;
    this.last[side] = Math.max(this.last[side], clock.time + latency * (0.5 + random()));
    clock.setTimeout(() => this.alive && run(), this.last[side] - clock.time);
  }

  message(data) {
    if (this.socket.readyState < 2) this.socket.onmessage?.({ data });
  }

  toClient(data) {
    this.later("client", () => this.message(data));
  }

  toHub(data) {
    this.later("hub", () => this.session && this.network.hub.sessions.has(this.session) && this.session.receive(JSON.parse(data)));
  }

  closeFromHub(code) {
    this.later("client", () => this.ends(code));
  }

  closeFromClient() {
    this.later("hub", () => this.gone());
  }

  gone() {
    this.alive = false;
    this.network.links.delete(this);
    if (this.session) this.network.hub.sessions.delete(this.session);
  }

  ends(code) {
    this.gone();
    if (this.socket.readyState >= 2) return;
    this.socket.ended();
    this.socket.onclose?.({ code, reason: "" });
  }

  cut(halfOpen) {
    const { clock, random, hub } = this.network;
    this.alive = false;
    this.network.links.delete(this);
    // the hub goes on sending into the void for a while
    clock.setTimeout(() => this.session && hub.sessions.delete(this.session), random() * 30_000);
    if (halfOpen) return;
    clock.setTimeout(() => {
      if (this.socket.readyState >= 2) return;
      this.socket.ended();
      this.socket.onclose?.({ code: 1006, reason: "" });
    }, random() * 50);
  }
}
