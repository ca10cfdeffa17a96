import { readFileSync } from "node:fs";

/** A table that both clients are held to: `tests/golden/tables/NAME.json`. */
export const table = (name) => JSON.parse(readFileSync(new URL(`../../../tests/golden/tables/${name}.json`, import.meta.url), "utf8"));
