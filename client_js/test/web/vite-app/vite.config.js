export default { build: { minify: false }, logLevel: "warn" };
