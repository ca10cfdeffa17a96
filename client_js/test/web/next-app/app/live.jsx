"use client";
import { HubProvider, useConnection, usePublish, useSnapshot } from "notification-hub-client/react";

const getToken = () => new URL(location.href).searchParams.get("token");

function Board() {
  const jobs = useSnapshot("job:web");
  const connection = useConnection();
  const publish = usePublish("doc:web");
  return (
    <>
      <p id="connection">{connection.name}</p>
      <ul id="jobs">{jobs ? [...jobs.values()].map(({ key, payload }) => <li key={key}>{`${key}: ${payload.state}`}</li>) : <li>loading</li>}</ul>
      <button onClick={() => publish("n", 1)}>publish</button>
    </>
  );
}

export function Live({ url }) {
  return (
    <HubProvider url={url} options={{ getToken }}>
      <Board />
    </HubProvider>
  );
}
