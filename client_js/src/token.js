import { HubError, asError } from "./errors.js";
import { Timer } from "./timer.js";

/**
 * Asks the application for a token, once, with a deadline: a function that hangs is an error like any other, and
 * what it answers later is dropped.
 * @param {import("./types.js").Settings} settings
 * @param {import("./types.js").TokenReason} reason
 * @param {(token: string | null) => void} got
 * @param {(error: Error) => void} failed
 * @returns {() => void} Gives up asking.
 */
export function askToken({ env, getToken, connectTimeoutMs }, reason, got, failed) {
  let asking = true;
  const timer = new Timer(env);
  /** @param {() => void} then */
  const once = (then) => {
    if (!asking) return;
    asking = false;
    timer.clear();
    then();
  };
  timer.set(connectTimeoutMs, () => once(() => failed(new HubError("token", "getToken: no answer in time", { retry: true }))));
  Promise.resolve({ reason })
    .then(getToken)
    .then(
      (token) => once(() => got(token)),
      (error) => once(() => failed(asError(error))),
    );
  return () => once(() => {});
}
