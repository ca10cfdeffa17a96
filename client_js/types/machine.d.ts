/**
 * The one place where a state machine's table is enforced: a move that it does not name is a mistake of this client.
 * @template {string} State
 * @param {Record<State, State[]>} moves
 * @param {State} from
 * @param {State} to
 * @returns {State} `to`
 */
export declare function move<State extends string>(moves: Record<State, State[]>, from: State, to: State): State;
