import { Session } from "./session.js";
export type HubState = import("./types.js").HubState;
export type Message = import("./types.js").Message;
export type End = import("./session.js").End;
/**
 * Keeps one session alive: when to connect, when to wait, when to hand over, when to stop.
 *
 * Sessions are told apart by identity: only `#main` and, after a take-over, `#leaving` are listened to; a session
 * that was closed says nothing any more.
 */
export declare class Connection {
    #private;
    /**
     * @param {import("./types.js").Settings} settings
     * @param {{session(session: Session): void, message(session: Session, message: Message): void,
     *   lost(session: Session): void, state(state: HubState): void, report(error: Error): void,
     *   ask(command: Message): Promise<unknown>}} owner `session`: send everything to
     *   this one from now on; `lost`: nothing comes from that one any more.
     */
    constructor(settings: import("./types.js").Settings, owner: {
        session(session: Session): void;
        message(session: Session, message: Message): void;
        lost(session: Session): void;
        state(state: HubState): void;
        report(error: Error): void;
        ask(command: Message): Promise<unknown>;
    });
    get state(): import("./types.js").HubState;
    start(): void;
    /** @param {import("./types.js").Why} why */
    stop(why: import("./types.js").Why): void;
    /** The network or the page is back: what waits tries at once, once; what stands is tested. */
    wake(): void;
    /** Two sessions stand: the newest is to take over. */
    get handingOver(): boolean;
    /** Every subscription is on the newest session. */
    settled(): void;
}
