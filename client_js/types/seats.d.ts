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
export type Position = import("./types.js").Position;
export type SubscribeOptions = import("./types.js").SubscribeOptions;
export type Listener = {
    options: SubscribeOptions;
    /**
     * Where it stands before the first `apply`.
     */
    position: Position | null;
    /**
     * What happened, and where it stands now.
     */
    apply: (kind: string, data: any, position: Position | null) => void;
};
export type Seat = {
    listener: Listener;
    position: Position | null;
    served: boolean;
};
/** @param {string} epoch @param {number} offset @returns {Position} */
export declare const at: (epoch: string, offset: number) => Position;
/** Options of the wire that suit every listener. @param {Seat[]} seats */
export declare function merge(seats: Seat[]): {
    presence: boolean | {
        as: string;
    } | undefined;
    max_rate: number | undefined;
    echo: boolean | undefined;
};
/**
 * Whom a command asks for, and from where: those who are not served; all, where a new session takes over. One stream
 * has one start, so first those without a position, then an epoch at a time.
 * @param {Seat[]} seats
 * @returns {{asked: Seat[], since?: Position}}
 */
export declare function choose(seats: Seat[]): {
    asked: Seat[];
    since?: Position;
};
/**
 * Whether a stream that starts after `head` brings everything after `position`.
 * @param {Position} head
 * @param {Position | null} position
 */
export declare const covers: (head: Position, position: Position | null) => boolean;
/**
 * What is said of a good position of an older numbering is not said of a later one, which may lie beyond the fork.
 * @param {Seat} seat
 * @param {Position | undefined} since What was asked for.
 * @param {import("./types.js").Message} reply
 */
export declare const beyondFork: ({ position }: Seat, since: Position | undefined, { epoch, gap }: import("./types.js").Message) => boolean | null;
