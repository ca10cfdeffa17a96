import { Timer } from "./timer.js";

/**
 * Tells a dead link: after a silence it asks, and what is not answered by anything in time is dead. A browser
 * answers the hub's own pings by itself and shows them to nobody, so silence alone proves nothing.
 */
export class Liveness {
  /** @type {"stopped" | "listening" | "asking"} */
  #state = "stopped";
  #timer;
  #env;
  #pongMs;
  #ask;
  #dead;
  #silenceMs = 0;
  #heardAt = 0;

  /**
   * @param {import("./types.js").Env} env
   * @param {number} pongMs
   * @param {() => void} ask
   * @param {() => void} dead
   */
  constructor(env, pongMs, ask, dead) {
    this.#env = env;
    this.#pongMs = pongMs;
    this.#ask = ask;
    this.#dead = dead;
    this.#timer = new Timer(env);
  }

  /** @param {number} silenceMs */
  start(silenceMs) {
    // jittered, or ten thousand clients of one broadcast would ask in the same second
    this.#silenceMs = silenceMs * (0.8 + 0.4 * this.#env.random());
    this.#listen();
  }

  stop() {
    this.#state = "stopped";
    this.#timer.clear();
  }

  heard() {
    if (this.#state === "asking") this.#listen();
    else this.#heardAt = this.#env.now(); // and no new timer for every message
  }

  #listen() {
    this.#state = "listening";
    this.#heardAt = this.#env.now();
    this.#check(this.#silenceMs);
  }

  /** @param {number} inMs */
  #check(inMs) {
    this.#timer.set(inMs, () => {
      const silent = this.#env.now() - this.#heardAt;
      // below 0 the clock was set back, and nothing is known
      if (silent < 0 || silent >= this.#silenceMs) this.probe();
      else this.#check(this.#silenceMs - silent);
    });
  }

  /** Asks now: something (a wake, a network that went) makes the link doubtful. */
  probe() {
    if (this.#state !== "listening") return;
    this.#state = "asking";
    this.#ask();
    this.#timer.set(this.#pongMs, this.#dead);
  }
}
