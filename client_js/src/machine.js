/**
 * The one place where a state machine's table is enforced: a move that it does not name is a mistake of this client.
 * Bundles leave the table out (`dropLabels`): the tests run on the sources.
 * @template {string} State
 * @param {Record<State, State[]>} moves
 * @param {State} from
 * @param {State} to
 * @returns {State} `to`
 */
export function move(moves, from, to) {
  CHECK: if (!moves[from].includes(to)) throw new Error(`${from} to ${to}`);
  return to;
}
