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
    let set = this.#listeners.get(name);
    if (!set) this.#listeners.set(name, (set = new Set()));
    set.add(listener);
    return () => void set.delete(listener);
  }

  /**
   * @protected
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} args
   */
  emit(name, ...args) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(...args);
      } catch (error) {
        this.thrown(error, name);
      }
    }
  }

  /**
   * @protected
   * @param {keyof Events} name
   */
  heard(name) {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  /**
   * A listener threw.
   * @protected
   * @param {unknown} error
   * @param {keyof Events} _name
   */
  thrown(error, _name) {
    console.error(error);
  }
}
