/**
 * Listeners by name. One that throws is reported and stops no other: the stream goes on.
 * @template {Record<string, any[]>} Events
 */
export class Emitter {
  /** @type {Map<keyof Events, Set<(...args: any[]) => void>>} */
  #listeners = new Map();

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(...args: Events[Name]) => void} listener
   * @returns {() => void} Takes the listener away again.
   */
  on(name, listener) {
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set.add(listener));
    return () => void set.delete(listener);
  }

  /**
   * @protected
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} args
   * @returns {boolean} Whether anybody heard it.
   */
  emit(name, ...args) {
    const listeners = [...(this.#listeners.get(name) ?? [])];
    for (const listener of listeners) {
      try {
        listener(...args);
      } catch (error) {
        this.thrown(error, name);
      }
    }
    return listeners.length > 0;
  }

  /**
   * A listener threw: whoever extends this reports it.
   * @protected
   * @param {unknown} _error
   * @param {keyof Events} _name
   */
  thrown(_error, _name) {}
}
