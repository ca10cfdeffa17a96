import { HubProvider, useChannel, useConnection, usePresence, usePublish, useSnapshot, useUnread } from "notification-hub-client/react";

function Everything() {
  const { state, events } = useChannel("doc:web");
  const jobs = useSnapshot("job:web");
  const { members } = usePresence("doc:web");
  const { unread } = useUnread("user:ann");
  usePublish("doc:web");
  return (
    <p>
      {useConnection().name} {state} {events.length} {jobs ? "known" : "unknown"} {members.length} {String(unread)}
    </p>
  );
}

export const App = ({ url = "/ws" }) => (
  <HubProvider url={url}>
    <Everything />
  </HubProvider>
);
