/** @typedef {import("./types.js").Member} Member */

/** A member is a user under a chosen name, else one connection of it. @param {Member} member */
const keyOf = ({ user, as, connection }) => JSON.stringify([user, as, as ? 0 : connection]);

/** Who is present in a channel. */
export class Members {
  /** @type {Map<string, Member>} */
  #present = new Map();

  get list() {
    return [...this.#present.values()];
  }

  /** @param {import("./types.js").PresenceChange} change */
  apply({ type, members }) {
    if (type === "list") this.#present.clear();
    for (const member of members) {
      if (type === "leave") this.#present.delete(keyOf(member));
      else this.#present.set(keyOf(member), member);
    }
  }
}
