/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./types.js").SubscribeOptions} SubscribeOptions */
/**
 * Whoever wants a channel: a subscription of this page, or one of another tab.
 * @typedef {object} Listener
 * @property {SubscribeOptions} options
 * @property {Position | null} position Where it stands before the first `apply`.
 * @property {(kind: string, data: any, position: Position | null) => void} apply What happened, and where it stands now.
 */
/**
 * A listener's place in a topic. `served`: the stream of `link` brings it everything after its position.
 * @typedef {{listener: Listener, position: Position | null, served: boolean}} Seat
 */

/** @param {string} epoch @param {number} offset @returns {Position} */
export const at = (epoch, offset) => Object.freeze({ epoch, offset });

/** Options of the wire that suit every listener. @param {Seat[]} seats */
export function merge(seats) {
  const all = seats.map(({ listener }) => listener.options);
  const rate = Math.max(...all.map(({ maxRate }) => maxRate ?? Infinity));
  return {
    presence: all.find(({ presence }) => presence)?.presence,
    max_rate: rate < Infinity ? rate : undefined,
    echo: all.every(({ echo }) => echo === false) ? false : undefined,
    token: all.find(({ token }) => token)?.token,
  };
}

/**
 * Whom a command asks for, and from where: those who are not served; all, where a new session takes over. One stream
 * has one start, so first those without a position, then an epoch at a time.
 * @param {Seat[]} seats
 * @returns {{asked: Seat[], since?: Position}}
 */
export function choose(seats) {
  const unserved = seats.filter(({ served }) => !served);
  const wanting = unserved.length ? unserved : seats;
  const fresh = wanting.filter(({ position }) => !position);
  if (fresh.length) return { asked: fresh };
  const asked = wanting.filter(({ position }) => position?.epoch === wanting[0].position?.epoch);
  const positions = asked.map(({ position }) => /** @type {Position} */ (position));
  return { asked, since: positions.sort((one, other) => one.offset - other.offset)[0] };
}

/**
 * Whether a stream that starts after `head` brings everything after `position`.
 * @param {Position} head
 * @param {Position | null} position
 */
export const covers = (head, position) => position?.epoch === head.epoch && position.offset >= head.offset;

/**
 * What is said of a good position of an older numbering is not said of a later one, which may lie beyond the fork.
 * @param {Seat} seat
 * @param {Position | undefined} since What was asked for.
 * @param {import("./types.js").Message} reply
 */
export const beyondFork = ({ position }, since, { epoch, gap }) =>
  position && position.epoch !== epoch && position.offset !== since?.offset && gap?.cause !== "epoch";
