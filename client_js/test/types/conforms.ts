// The declarations are written by hand: what they promise is what the sources have, no more and no less.
import type * as declared from "../../types/index.js";
import type * as actual from "../../src/index.js";
import * as codecs from "../../src/msgpack.js";

type None<Nothing extends never> = Nothing;
export type Undeclared = None<Exclude<keyof actual.Hub, keyof declared.Hub>>;
export type UndeclaredOfSubscriptions = None<Exclude<keyof actual.Subscription, keyof declared.Subscription | "apply" | "end" | "right">>;
export type UndeclaredOfErrors = None<Exclude<keyof actual.HubError, keyof declared.HubError>>;
export type Exports = None<Exclude<keyof typeof declared, keyof typeof actual> | Exclude<keyof typeof actual, keyof typeof declared>>;

declare const hub: actual.Hub;
declare const subscription: actual.Subscription;
declare const error: actual.HubError;
declare const made: ConstructorParameters<typeof declared.Hub>;
export const hubs: declared.Hub = hub;
export const subscriptions: declared.Subscription = subscription;
export const errors: declared.HubError = error;
export const making: ConstructorParameters<typeof actual.Hub> = made;
export const codec: declared.Codec = codecs.msgpack;

import type * as hooks from "../../types/react.js";
import type * as actualHooks from "../../src/react.js";
export type Hooks = None<Exclude<keyof typeof hooks, keyof typeof actualHooks> | Exclude<keyof typeof actualHooks, keyof typeof hooks>>;

import type * as boards from "../../types/job-board.js";
import type * as actualBoards from "../../src/jobboard.js";
declare const board: actualBoards.HubJobBoard;
export const itsName: boards.HubJobBoard["channel"] = board.channel;
export type Boards = None<Exclude<keyof typeof boards, keyof typeof actualBoards> | Exclude<keyof typeof actualBoards, keyof typeof boards>>;
