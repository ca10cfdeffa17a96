// The same board with React: the hub comes from a provider, channels from hooks. One rendering a frame, whatever comes.
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { HubProvider, useChannel, useConnection } from "notification-hub-client/react";

const parameters = new URL(location.href).searchParams;
const getToken = async ({ reason }) => (await fetch(`/token?reason=${reason}`)).text();

function Badge() {
  return <span id="badge">{useConnection().name}</span>;
}

function Board({ channel }) {
  const { byKey, gap, ready } = useChannel(channel);
  if (!ready) return <p>…</p>;
  return (
    <>
      {gap && <p>Some updates were missed ({gap.cause}).</p>}
      <ul>
        {[...byKey.values()].map(({ key, payload, final }) => (
          <li key={key} id={`job-${key}`}>
            {key}: {payload.state} {!final && <progress max="100" value={payload.progress} />}
          </li>
        ))}
      </ul>
    </>
  );
}

function App() {
  const [channel, setChannel] = useState(parameters.get("board") ?? "job:team-a");
  return (
    <HubProvider url={parameters.get("hub") ?? "/ws"} options={{ getToken }}>
      <h1>
        Jobs <Badge />
      </h1>
      <input id="channel" value={channel} onChange={({ target }) => setChannel(target.value)} />
      <Board channel={channel} />
    </HubProvider>
  );
}

createRoot(document.body.appendChild(document.createElement("main"))).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
