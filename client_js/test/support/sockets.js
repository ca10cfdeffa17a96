import { FakeClock, seeded, settle } from "./clock.js";

/** Sockets that the test itself answers, message by message. */
export class Wire {
  constructor(seed = 1) {
    this.clock = new FakeClock();
    this.random = seeded(seed);
    this.sockets = [];
    this.isOnline = true;
    this.wake = () => {};
    this.gone = () => {};
    const wire = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocols) {
        super(url, protocols);
        wire.sockets.push(this);
      }
    };
    this.env = {
      now: () => this.clock.now(),
      setTimeout: (run, ms) => this.clock.setTimeout(run, ms),
      clearTimeout: (timer) => this.clock.clearTimeout(timer),
      random: () => this.random(),
      WebSocket: this.WebSocket,
      online: () => this.isOnline,
      watch: (wake, gone) => {
        this.wake = wake;
        this.gone = gone;
        return () => {
          this.wake = this.gone = () => {};
        };
      },
    };
  }

  /** The newest socket. */
  get last() {
    return this.sockets.at(-1);
  }

  get open() {
    return this.sockets.filter((socket) => socket.readyState < 2);
  }

  goOffline() {
    this.isOnline = false;
    this.gone();
  }

  goOnline() {
    this.isOnline = true;
    this.wake();
  }

  /** The newest socket opens and is welcomed. */
  async welcome(fields = {}) {
    await settle();
    this.last.opens();
    await settle();
    this.last.receives({
      type: "hub.welcome",
      connection: `c_${this.sockets.length}`,
      node: "n_1",
      user: "ann",
      expires_at: 0,
      heartbeat_ms: 25000,
      reconnect: { min_ms: 500, max_ms: 20000 },
      resume: `resume-${this.sockets.length}`,
      limits: { message_bytes: 65536, frame_bytes: 524288, channels: 128 },
      ...fields,
    });
    await settle();
    return this.last;
  }
}

export class FakeSocket {
  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
    this.readyState = 0;
    this.bufferedAmount = 0;
    this.sent = [];
    this.closedWith = null;
    this.onopen = this.onmessage = this.onclose = this.onerror = null;
  }

  opens() {
    this.readyState = 1;
    this.onopen?.({});
  }

  send(data) {
    if (this.readyState !== 1) throw new Error("send on a socket that is not open");
    this.sent.push(typeof data === "string" ? JSON.parse(data) : data);
  }

  receives(message) {
    this.onmessage?.({ data: typeof message === "string" || message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }

  /** The hub's close, or the network's. */
  closes(code, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  close(code = 1000, reason = "") {
    if (this.readyState >= 2) return;
    this.readyState = 3;
    this.closedWith = { code, reason };
  }

  /** What was sent of a type. */
  of(type) {
    return this.sent.filter((message) => message.type === type);
  }

  /** The last message sent. */
  get lastSent() {
    return this.sent.at(-1);
  }
}
