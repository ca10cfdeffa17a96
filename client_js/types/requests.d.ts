import { HubError } from "./errors.js";
import { Timer } from "./timer.js";
export type Message = import("./types.js").Message;
export type Request = {
    command: Message;
    state: "queued" | "sent";
    timer: Timer;
    timeoutMs: number;
    resolve: (reply: Message) => void;
    reject: (error: HubError) => void;
};
/**
 * Commands that await an answer, by id, in the order they were asked. All of them may be repeated (a publication by
 * its `event_id`), so what a lost session left unanswered goes again on the next one.
 */
export declare class Requests {
    #private;
    /**
     * @param {import("./types.js").Settings} settings
     * @param {(command: Message, timeoutMs: number) => boolean} send Whether a session took it.
     */
    constructor(settings: import("./types.js").Settings, send: (command: Message, timeoutMs: number) => boolean);
    nextId(): number;
    get lastId(): number;
    /**
     * @param {Message} command Without `id`.
     * @param {number} [timeoutMs] From now, for a publication until it is sent; 0: no limit.
     * @returns {Promise<Message>}
     */
    ask(command: Message, timeoutMs?: number): Promise<Message>;
    /** A new session: everything unanswered goes to it. */
    resend(): void;
    /**
     * @param {Message} reply
     * @returns {boolean} Whether anybody waited for it; a second answer to a repeated command finds nobody.
     */
    settle(reply: Message): boolean;
    /** Those that a session has and did not answer. */
    get unanswered(): (string | number)[];
    /** @param {string} reason @param {unknown} [cause] */
    close(reason: string, cause?: unknown): void;
}
