import type { Hub } from "./index.js";

/**
 * `<hub-job-board channel="job:demo">`: a board of the jobs in one `state` channel, live. Importing this module defines
 * the element. Parts for a page's own style (`::part(row)`): `top counts count search notice failures list row name note
 * bar fill badge fold empty detail facts events payload link state timeline figures past`; colours are custom properties,
 * `--board-running` and the like.
 */
export class HubJobBoard extends HTMLElement {
  /** The connection that it listens by. The page makes and closes it. */
  hub: Hub<any> | null;
  /** The attribute of that name; another one begins anew. */
  channel: string;
}

declare global {
  interface HTMLElementTagNameMap {
    "hub-job-board": HubJobBoard;
  }
}
