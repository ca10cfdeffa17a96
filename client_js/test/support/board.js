/** A page with a board over a hub that is made of what a test says: no server, no waiting. */
export const PAGE = `<!doctype html><title>board</title><style>body { margin: 0 } hub-job-board { height: 100vh }</style><hub-job-board channel="job:x">nothing</hub-job-board>`;

/** Makes \`window.fake\`: a hub whose states, snapshot and events the test tells. */
export function fakeHub() {
  const listeners = new Set();
  const fake = {
    offset: 0,
    left: 0,
    hub: {
      state: { name: "connecting" },
      on: (_name, run) => (listeners.add(run), () => listeners.delete(run)),
      ping: async () => Date.now(),
      subscribe: (_channel, options) => {
        fake.told = options;
        return { unsubscribe: () => fake.left++ };
      },
    },
    state(state) {
      fake.hub.state = state;
      for (const run of listeners) run(state);
    },
    event: (key, payload, more) => ({ type: "job_status", channel: "job:x", id: `e${++fake.offset}`, offset: fake.offset, time: Date.now(), key, payload, ...more }),
    snapshot: (events) => fake.told.onSnapshot(events, { epoch: "e", offset: fake.offset }),
    tell: (key, payload, more) => fake.told.onEvent(fake.event(key, payload, more)),
    board: document.querySelector("hub-job-board"),
  };
  Object.assign(window, { fake });
  return import("/src/jobboard.js").then(() => void (fake.board.hub = fake.hub));
}
