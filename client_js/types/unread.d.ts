/**
 * The count of an inbox's badge, derived and never counted: what the hub said at one offset, and how far the channel
 * has come since. So a replay, a second answer or a lost message can't make it drift.
 */
export declare class Unread {
    #private;
    /** The hub's number, at an offset that it had reached. @param {number} unread @param {number} offset */
    said(unread: number, offset: number): void;
    /** @param {number} offset */
    came(offset: number): void;
    /** Unknown where the channel is no inbox. */
    get count(): number | undefined;
}
