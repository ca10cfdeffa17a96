// A board of jobs without a framework or a build: every job of one channel, by its key, live.
// Page parameters: ?hub= the hub's address, ?board= the channel.
import { Hub } from "../dist/hub.js";

const parameters = new URL(location.href).searchParams;
const board = parameters.get("board") ?? "job:team-a";
const list = document.querySelector("#jobs");
const badge = document.querySelector("#badge");

const hub = new Hub(parameters.get("hub") ?? "/ws", {
  // the application's own server knows who is logged in, and signs the token
  getToken: async ({ reason }) => {
    const response = await fetch(`/token?reason=${reason}`);
    if (!response.ok) throw new Error(`the token endpoint answered ${response.status}`);
    return response.text();
  },
});

hub.on("state", (state) => {
  badge.dataset.state = state.name;
  badge.textContent =
    state.name === "reconnecting" ? `reconnecting in ${Math.ceil(state.inMs / 1000)} s`
    : state.name === "closed" ? `closed: ${state.why.reason}`
    : state.name;
});
hub.on("error", (error) => console.error(error));

/** One line for a job; a later event of the same key replaces what the line says. */
function draw(event) {
  let line = document.getElementById(`job-${event.key}`);
  if (!line) {
    line = document.createElement("li");
    line.id = `job-${event.key}`;
    list.append(line);
  }
  const { state, progress = 0 } = event.payload;
  const bar = Object.assign(document.createElement("progress"), { max: 100, value: progress });
  line.replaceChildren(`${event.key}: ${state} `, event.final ? "" : bar);
}

hub.subscribe(board, {
  // the latest event of every job: a key that is not in it is gone
  onSnapshot(events) {
    list.replaceChildren();
    events.forEach(draw);
  },
  onEvent: draw,
  // on a channel of jobs a snapshot follows every gap of the hub's storage; one that was lost between nodes is
  // healed by each job's next event
  onGap: (gap) => console.warn("missed", gap),
});
