/**
 * Where to connect, looked at when it is done: a hub that is made where there is no page is asked for none.
 * @param {string} url Absolute, or relative to the page; http means ws.
 * @returns {URL}
 */
export declare function absolute(url: string): URL;
