// The dashboard of the demo: a board of jobs, and a link that can be cut.
import { Hub } from "/client/hub.js";
import "/client/job-board.js";

const CUT_MS = 5000;
const $ = (id) => document.getElementById(id);

// The cable: every socket of the client goes through it, so that it can be cut. An application needs nothing of this.

const cable = { isCut: false, sockets: new Set() };

class Cable extends WebSocket {
  constructor(...args) {
    super(...args);
    cable.sockets.add(this);
    this.addEventListener("close", () => cable.sockets.delete(this));
    if (cable.isCut) this.close();
  }
}

function cut() {
  cable.isCut = true;
  for (const socket of cable.sockets) socket.close();
  const end = Date.now() + CUT_MS;
  const countdown = setInterval(() => {
    const left = end - Date.now();
    if (left > 0) return void ($("cut").textContent = `Cut for ${Math.ceil(left / 1000)} s`);
    clearInterval(countdown);
    mend();
  }, 100);
  $("cut").disabled = true;
}

function mend() {
  cable.isCut = false;
  $("cut").disabled = false;
  $("cut").textContent = "Cut the link";
  // What a browser says when the network is back; without it the client comes at the end of its backoff.
  window.dispatchEvent(new Event("online"));
}

async function getToken() {
  const response = await fetch("/demo/token", { method: "POST" });
  if (!response.ok) throw new Error(`no token: HTTP ${response.status}`);
  return (await response.json()).token;
}

let due = 0;

function showState() {
  const { name } = hub.state;
  const text = name === "reconnecting" ? `reconnecting in ${(Math.max(0, due - Date.now()) / 1000).toFixed(1)} s` : name;
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").dataset.state = name;
}

const hub = new Hub("/ws", { getToken, WebSocket: Cable });
hub.on("state", (state) => {
  due = Date.now() + (state.inMs ?? 0);
  showState();
});
hub.on("error", (error) => console.error(error.message));
setInterval(showState, 100);

document.querySelector("hub-job-board").hub = hub;
$("cut").addEventListener("click", cut);
