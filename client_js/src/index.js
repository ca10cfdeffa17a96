export { Hub } from "./client.js";
export { HubError } from "./errors.js";
export { Subscription } from "./subscription.js";
