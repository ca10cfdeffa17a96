/** @typedef {import("./types.js").Member} Member */
/** @typedef {import("./types.js").PresenceChange} PresenceChange */

/** A member is a user under a chosen name, else one connection of it. @param {Member} member */
const keyOf = (member) => JSON.stringify([member.user, member.as ?? null, member.as === undefined ? member.connection : null]);

/** Who is present in a channel: replaced as a whole, or changed by joins, leaves and updates. */
export class Members {
  /** @type {Map<string, Member>} */
  #present = new Map();

  get list() {
    return [...this.#present.values()];
  }

  /** @param {Member[]} members @returns {PresenceChange} */
  replace(members) {
    this.#present = new Map(members.map((member) => [keyOf(member), member]));
    return { joined: [], left: [], updated: [] };
  }

  /**
   * @param {string} type `hub.join`, `hub.leave` or `hub.update`.
   * @param {Member[]} members
   * @returns {PresenceChange}
   */
  change(type, members) {
    for (const member of members) {
      if (type === "hub.leave") this.#present.delete(keyOf(member));
      else this.#present.set(keyOf(member), member);
    }
    return {
      joined: type === "hub.join" ? members : [],
      left: type === "hub.leave" ? members : [],
      updated: type === "hub.update" ? members : [],
    };
  }
}
