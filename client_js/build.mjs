// The single-file ESM bundle (dist/hub.js): what a page without a build step loads. Reproducible: the same
// sources give the same bytes, and a test compares them.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));

/** The bytes of one entry point, minified. */
export async function bundle(entry) {
  const result = await build({
    absWorkingDir: here,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    write: false,
  });
  return Buffer.from(result.outputFiles[0].contents);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { mkdir, writeFile } = await import("node:fs/promises");
  await mkdir(new URL("dist/", import.meta.url), { recursive: true });
  await writeFile(new URL("dist/hub.js", import.meta.url), await bundle("src/index.js"));
}
