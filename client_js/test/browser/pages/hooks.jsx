// A page of the hooks' own test: what is shown, how often it was rendered, and what was committed.
import { Profiler, StrictMode, Suspense, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { HubProvider, useChannel, useConnection, useHub, usePresence, usePublish, useSnapshot, useUnread } from "notification-hub-client/react";

const parameters = new URL(location.href).searchParams;
const user = parameters.get("user") ?? "ann";
const getToken = async () => (await fetch(`/token?user=${user}`)).text();
const counts = { commits: 0, shown: Array.from({ length: 50 }, () => 0), heard: [] };
Object.assign(window, { counts, errors: [] });

function Cell({ n, channel }) {
  const { events } = useChannel(channel, { limit: 1 });
  useEffect(() => void counts.shown[n]++, [events]);
  return <td id={`cell-${n}`}>{events.at(-1)?.payload}</td>;
}

function Load({ channels }) {
  return (
    <Profiler id="load" onRender={() => counts.commits++}>
      <table>
        <tbody>
          <tr>{counts.shown.map((_, n) => <Cell key={n} n={n} channel={`doc:load-${n % channels}`} />)}</tr>
        </tbody>
      </table>
    </Profiler>
  );
}

function Everything() {
  const connection = useConnection();
  const jobs = useSnapshot("job:hooks");
  const { members, setState } = usePresence("doc:hooks", { as: user });
  const { unread, ack } = useUnread(`user:${user}`);
  const publish = usePublish("doc:hooks");
  const { events, state, error } = useChannel("doc:hooks", { onEvent: ({ payload }) => counts.heard.push(payload) });
  const refused = useChannel("nowhere:1");
  window.hub = useHub();
  window.publishes = (window.publishes ?? new Set()).add(publish);
  return (
    <main>
      <p id="connection">{connection.name}</p>
      <p id="jobs">{jobs ? [...jobs.values()].map(({ key, payload }) => `${key}=${payload}`).join() : "loading"}</p>
      <p id="members">{members.map(({ as, state }) => `${as}:${JSON.stringify(state ?? null)}`).sort().join()}</p>
      <p id="unread">{String(unread)}</p>
      <p id="events">{state} {events.map(({ payload }) => payload).join()} {error?.code}</p>
      <p id="refused">{refused.state} {refused.error?.code}</p>
      <button id="ack" onClick={ack}>ack</button>
      <button id="state" onClick={() => setState({ typing: true })}>typing</button>
      <button id="publish" onClick={() => publish("n", "mine")}>publish</button>
    </main>
  );
}

function App() {
  const [shown, setShown] = useState(true);
  window.show = setShown;
  const channels = Number(parameters.get("channels"));
  return (
    <HubProvider url={parameters.get("hub")} options={{ getToken, minBackoffMs: 50 }}>
      <Suspense fallback={<p>suspended</p>}>{shown && (channels ? <Load channels={channels} /> : <Everything />)}</Suspense>
    </HubProvider>
  );
}

createRoot(document.body.appendChild(document.createElement("div"))).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
