import { HubError, asError } from "./errors.js";
import { Timer } from "./timer.js";

/** A renewal is spread over this: the hub spreads its warnings, whoever asks a token endpoint spreads once more. */
const SPREAD_MS = 10_000;

/**
 * ms to wait with a renewal, told of the token's end: not before half of its life is over (one that lives for less than
 * a minute is warned of as soon as it is accepted), nor after its end.
 * @param {number} elapsedMs Since it was accepted.
 * @param {number} leftMs
 * @param {() => number} random
 */
export function renewalWait(elapsedMs, leftMs, random) {
  const half = Math.max(1000, (leftMs - elapsedMs) / 2);
  return half + random() * Math.max(0, Math.min(SPREAD_MS, (leftMs - half) / 2));
}

/**
 * A line end is what a token read from a file has; what else does not travel would come back in an error of the
 * browser's, word for word, and at each attempt.
 * @param {string | null} token
 */
function checked(token) {
  if (token === null) return token;
  if (typeof token === "string" && /^[!-~]+$/.test((token = token.trim()))) return token;
  throw new HubError("token", "getToken: no printable ASCII");
}

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
  const timer = new Timer(env);
  /** Once. @template T @param {(value: T) => void} then @param {T} value */
  let end = (then, value) => {
    end = () => {};
    timer.clear();
    then(value);
  };
  timer.set(connectTimeoutMs, () => end(failed, new HubError("token", "getToken: no answer in time", { retry: true })));
  Promise.resolve({ reason })
    .then(getToken)
    .then(checked)
    .then(
      (token) => end(got, token),
      (error) => end(failed, asError(error)),
    );
  return () => end(() => {}, null);
}
