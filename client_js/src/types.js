/**
 * The client's own shapes, and the public ones (`types/index.d.ts`) under their names.
 *
 * @typedef {import("../types/index.js").Position} Position
 * @typedef {import("../types/index.js").HubEvent} HubEvent
 * @typedef {import("../types/index.js").Gap} Gap
 * @typedef {import("../types/index.js").Member} Member
 * @typedef {import("../types/index.js").PresenceChange} PresenceChange
 * @typedef {import("../types/index.js").Why} Why
 * @typedef {import("../types/index.js").HubState} HubState
 * @typedef {import("../types/index.js").SubscriptionState} SubscriptionState
 * @typedef {import("../types/index.js").SubscribeOptions & {token?: string}} SubscribeOptions `token`: the channel's, at hand.
 * @typedef {import("../types/index.js").PublishOptions} PublishOptions
 * @typedef {import("../types/index.js").Published} Published
 * @typedef {import("../types/index.js").History} History
 * @typedef {import("../types/index.js").TokenReason} TokenReason
 * @typedef {import("../types/index.js").Codec} Codec
 * @typedef {import("../types/index.js").Env} Env
 * @typedef {import("../types/index.js").WebSocketConstructor} WebSocketConstructor
 * @typedef {import("../types/index.js").WebSocketLike} WebSocketLike
 * @typedef {import("../types/index.js").HubOptions} HubOptions
 *
 * @typedef {Required<Omit<HubOptions, "env" | "WebSocket" | "shared" | "auth" | "fallback">> & {env: Env, url: string,
 *   auth?: HubOptions["auth"], fallback?: boolean}} Settings
 *
 * @typedef {{type: string, id?: number | string, channel?: string, [field: string]: any}} Message A message of the wire.
 */
export {};
