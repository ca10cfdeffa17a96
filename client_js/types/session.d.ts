export type Message = import("./types.js").Message;
export type Window = import("./backoff.js").Window;
export type End = import("./types.js").Why & {
    then: import("./codes.js").Then;
    window?: Window | null;
    retryAfterMs?: number;
};
export type SessionState = "token" | "opening" | "ready" | "closed";
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./backoff.js").Window} Window */
/** @typedef {import("./types.js").Why & {then: import("./codes.js").Then, window?: Window | null,
 *   retryAfterMs?: number}} End Why a session ended and what to do then. */
/**
 * token    the application is asked for one
 * opening  the socket opens, and `hub.welcome` is awaited
 * ready    the session stands
 * closed   over, and silent for ever
 * @typedef {"token" | "opening" | "ready" | "closed"} SessionState
 */
/** One attempt to connect and, if it succeeds, the connection: from the token to the close. */
export declare class Session {
    #private;
    /** @type {Message | null} */
    welcome: Message | null;
    /**
     * @param {import("./types.js").Settings} settings
     * @param {import("./types.js").TokenReason} reason
     * @param {string | undefined} resume
     * @param {{ready(session: Session): void, message(session: Session, message: Message): void,
     *   end(session: Session, why: End): void}} on
     */
    constructor(settings: import("./types.js").Settings, reason: import("./types.js").TokenReason, resume: string | undefined, on: {
        ready(session: Session): void;
        message(session: Session, message: Message): void;
        end(session: Session, why: End): void;
    });
    /**
     * @param {Message} message
     * @param {number} [limit] Bytes; above it an error is thrown, since the hub would close the connection for it.
     */
    send(message: Message, limit?: number): void;
    get buffered(): number;
    /** Ends it without a word to the owner. @param {number} [code] */
    close(code?: number): void;
}
