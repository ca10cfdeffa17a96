export type Message = import("./types.js").Message;
/**
 * One WebSocket: frames in and out as messages. After `drop` it says nothing any more, so that no late frame of a
 * socket that was given up is ever taken for one of its successor.
 */
export declare class Transport {
    #private;
    /**
     * @param {import("./types.js").Env} env
     * @param {import("./types.js").Codec} codec
     * @param {string} url
     * @param {string[]} protocols
     * @param {{open(): void, message(message: Message): void, malformed(error: Error): void,
     *   close(code: number, reason: string): void}} on
     */
    constructor(env: import("./types.js").Env, codec: import("./types.js").Codec, url: string, protocols: string[], on: {
        open(): void;
        message(message: Message): void;
        malformed(error: Error): void;
        close(code: number, reason: string): void;
    });
    /**
     * @param {Message} message
     * @param {number} [limit]
     */
    send(message: Message, limit?: number): void;
    /** Bytes that wait in the browser for the network. */
    get buffered(): number;
    /**
     * @param {number} [code]
     * @param {string} [reason]
     */
    drop(code?: number, reason?: string): void;
}
