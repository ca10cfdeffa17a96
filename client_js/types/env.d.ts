/** @typedef {import("./types.js").Env} Env */
export type Env = import("./types.js").Env;
/**
 * The real world, and what replaces parts of it. Made where there is none of it too: a page that is rendered on a
 * server has a hub that never connects.
 * @param {Partial<Env>} given
 * @returns {Env}
 */
export declare const environment: (given: Partial<Env>) => Env;
