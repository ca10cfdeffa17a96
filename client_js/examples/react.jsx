// The same board with React. `useChannel` takes React as an argument: it works with every version that has hooks.
import * as React from "react";
import { createRoot } from "react-dom/client";
import { Hub } from "notification-hub-client";
import { useChannel } from "notification-hub-client/react";

const parameters = new URL(location.href).searchParams;
// one hub for the page, outside of all components: it lives as long as the page does
const hub = new Hub(parameters.get("hub") ?? "/ws", {
  getToken: async ({ reason }) => (await fetch(`/token?reason=${reason}`)).text(),
});

function Badge() {
  const [state, setState] = React.useState(hub.state);
  React.useEffect(() => hub.on("state", setState), []);
  return <span id="badge">{state.name}</span>;
}

function Board({ channel }) {
  const { byKey, gap } = useChannel(React, hub, channel);
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
  const [channel, setChannel] = React.useState(parameters.get("board") ?? "job:team-a");
  return (
    <>
      <h1>
        Jobs <Badge />
      </h1>
      <input id="channel" value={channel} onChange={({ target }) => setChannel(target.value)} />
      <Board channel={channel} />
    </>
  );
}

createRoot(document.body.appendChild(document.createElement("main"))).render(<App />);
