// The bundle that a page without a build step loads: dist/hub.js, one file, and beside it what is fetched by who wants it:
// dist/shared.js by pages that share one socket between tabs, dist/channeltoken.js by those with tokens for one channel,
// dist/stream.js where no WebSocket can be had. Reproducible: the same sources give the same bytes, and a test compares
// them.
import { build } from "esbuild";
import { minify } from "terser";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));

export const BUNDLES = {
  "dist/hub.js": "src/index.js",
  "dist/shared.js": "src/shared.js",
  "dist/msgpack.js": "src/msgpack.js",
  "dist/stream.js": "src/stream.js",
  "dist/channeltoken.js": "src/channeltoken.js",
  "dist/job-board.js": "src/jobboard.js",
};

/** One entry point with all that it imports, minified. */
export async function bundle(entry) {
  const result = await build({
    absWorkingDir: here,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["./shared.js", "./stream.js", "./channeltoken.js"],
    dropLabels: ["CHECK"],
    write: false,
  });
  // a second pass, for names that repeat from class to class; conditions stay as they are, rewritten they pack worse
  const compress = { passes: 3, if_return: false, conditionals: false, sequences: false, hoist_funs: true, pure_getters: true };
  const { code } = await minify(result.outputFiles[0].text, { module: true, ecma: 2020, compress });
  return Buffer.from(code);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { mkdir, writeFile } = await import("node:fs/promises");
  await mkdir(new URL("dist/", import.meta.url), { recursive: true });
  for (const [file, entry] of Object.entries(BUNDLES)) await writeFile(new URL(file, import.meta.url), await bundle(entry));
}
