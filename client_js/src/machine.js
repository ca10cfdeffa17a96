/**
 * The one place where a state machine's table is enforced: a move that it does not name is a mistake of this client.
 * Called behind the label `CHECK`, it is left out of bundles with the tables: the tests run on the sources.
 * @template {string} State
 * @param {Record<State, State[]>} moves
 * @param {State} from
 * @param {State} to
 */
export function move(moves, from, to) {
  if (!moves[from].includes(to)) throw new Error(`${from} to ${to}`);
}
