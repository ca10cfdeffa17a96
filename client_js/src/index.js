/** @typedef {import("./subscription.js").Subscription} Subscription */
export { Hub } from "./client.js";
export { HubError } from "./errors.js";
