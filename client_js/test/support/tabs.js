import { Hub } from "../../src/index.js";
import "../../src/shared.js"; // loaded already, so that loading it on demand takes no time here
import { settle } from "./clock.js";
import { Wire } from "./sockets.js";

/** Web Locks of one browser: exclusive, first come first served, freed when a tab crashes. */
class Locks {
  #held = new Map();
  #queue = [];

  /** @param {object} tab */
  of(tab) {
    return { request: (name, options, run) => this.#request(tab, name, options, run) };
  }

  #request(tab, name, { signal, steal }, run) {
    if (signal && steal) return Promise.reject(new DOMException("signal and steal", "NotSupportedError"));
    return new Promise((resolve, reject) => {
      const request = { tab, name, run, resolve, reject };
      const robbed = steal && this.#held.get(name);
      if (robbed) {
        this.#held.delete(name);
        robbed.tab.whenAwake(() => robbed.reject(new DOMException("stolen", "AbortError")));
        this.#queue.unshift(request);
        return queueMicrotask(() => this.#grant());
      }
      this.#queue.push(request);
      signal?.addEventListener("abort", () => {
        if (!this.#queue.includes(request)) return;
        this.#queue.splice(this.#queue.indexOf(request), 1);
        reject(signal.reason);
      });
      queueMicrotask(() => this.#grant());
    });
  }

  #grant() {
    for (const request of [...this.#queue]) {
      if (this.#held.has(request.name)) continue;
      this.#held.set(request.name, request);
      this.#queue.splice(this.#queue.indexOf(request), 1);
      const free = () => {
        if (this.#held.get(request.name) === request) this.#held.delete(request.name);
        queueMicrotask(() => this.#grant());
      };
      Promise.resolve(request.run()).then(request.resolve, request.reject).finally(free);
    }
  }

  crash(tab) {
    this.#queue = this.#queue.filter((request) => request.tab !== tab);
    for (const [name, request] of this.#held) if (request.tab === tab) this.#held.delete(name);
    this.#grant();
  }
}

/** A browser with tabs that share locks and channels, and sockets that the test answers. */
export class Browser {
  constructor() {
    this.wire = new Wire();
    this.locks = new Locks();
    this.ports = new Set();
    const ports = this.ports;
    this.channelOf = (tab) =>
      class {
        constructor(name) {
          this.name = name;
          this.tab = tab;
          ports.add(this);
        }

        postMessage(message) {
          if (tab.crashed) return;
          const data = structuredClone(message);
          for (const port of ports) {
            if (port === this || port.name !== this.name) continue;
            queueMicrotask(() => port.tab.whenAwake(() => !port.tab.crashed && port.onmessage?.({ data })));
          }
        }

        close() {
          ports.delete(this);
        }
      };
  }

  tab(options = {}) {
    const tab = { crashed: false, hidden: false, sockets: [], states: [], errors: [], waiting: null, watchers: new Set() };
    /** The page is put aside, or shown again. */
    tab.page = (what) => [...tab.watchers].forEach((watcher) => watcher[what]?.());
    /** A tab that is frozen, or shows a dialog, runs nothing until it goes on. */
    tab.whenAwake = (run) => (tab.waiting ? tab.waiting.push(run) : run());
    tab.freeze = () => (tab.waiting = []);
    tab.thaw = () => {
      const { waiting } = tab;
      tab.waiting = null;
      for (const run of waiting) run();
    };
    const { wire } = this;
    const env = {
      ...wire.env,
      watch: (wake, _offline, aside) => {
        const watcher = { wake, aside };
        tab.watchers.add(watcher);
        return () => void tab.watchers.delete(watcher);
      },
      setTimeout: (run, ms) => wire.clock.setTimeout(() => tab.hidden || tab.whenAwake(run), ms),
      locks: this.locks.of(tab),
      BroadcastChannel: this.channelOf(tab),
      WebSocket: class extends wire.WebSocket {
        constructor(url, protocols) {
          super(url, protocols);
          tab.sockets.push(this);
        }
      },
    };
    tab.hub = new Hub("wss://hub.test/ws", { shared: true, pingAfterMs: 1e9, ...options, env });
    tab.hub.on("state", ({ name }) => tab.states.push(name));
    tab.hub.on("error", (error) => tab.errors.push(error));
    return tab;
  }

  /** The tab is gone from one moment to the next, and says goodbye to nobody. */
  crash(tab) {
    tab.crashed = true;
    for (const socket of tab.sockets) {
      socket.onmessage = socket.onclose = () => {};
      if (socket.readyState < 2) socket.close();
    }
    this.locks.crash(tab);
  }

  /** Until every tab has heard every other. */
  async quiet() {
    for (let turn = 0; turn < 8; turn++) await settle();
  }
}
