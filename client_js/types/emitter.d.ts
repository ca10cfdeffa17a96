/**
 * Listeners by name. One that throws is reported and stops no other: the stream goes on.
 * @template {Record<string, any[]>} Events
 */
export declare class Emitter<Events extends Record<string, any[]>> {
    #private;
    /**
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {(...args: Events[Name]) => void} listener
     * @returns {() => void} Takes the listener away again.
     */
    on<Name extends keyof Events>(name: Name, listener: (...args: Events[Name]) => void): () => void;
    /**
     * @protected
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {Events[Name]} args
     * @returns {boolean} Whether anybody heard it.
     */
    protected emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): boolean;
    /**
     * A listener threw: whoever extends this reports it.
     * @protected
     * @param {unknown} _error
     * @param {keyof Events} _name
     */
    protected thrown(_error: unknown, _name: keyof Events): void;
}
