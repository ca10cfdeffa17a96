/** Options that write down everything a subscription is told, in order. */
export function recorder() {
  const log = [];
  return {
    log,
    options: {
      onEvent: (event) => log.push(["event", event.offset ?? event.id, event.conflated ?? 0]),
      onSnapshot: (events, position) => log.push(["snapshot", events.map((event) => event.offset), position.offset]),
      onGap: (gap) => log.push(["gap", gap.from, gap.to, gap.cause]),
    },
    /** Offsets of the events. */
    get offsets() {
      return log.filter(([kind]) => kind === "event").map(([, offset]) => offset);
    },
  };
}
