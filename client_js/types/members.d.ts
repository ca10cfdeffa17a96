/** @typedef {import("./types.js").Member} Member */
export type Member = import("./types.js").Member;
/** Who is present in a channel. */
export declare class Members {
    #private;
    get list(): import("./types.js").Member[];
    /** @param {import("./types.js").PresenceChange} change */
    apply({ type, members }: import("./types.js").PresenceChange): void;
}
