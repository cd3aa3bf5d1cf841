// The sum of the arguments, computed by another process of the same runtime.
const { execFileSync } = require("node:child_process");

const script = "console.log(process.argv.slice(1).map(Number).reduce((a, b) => a + b, 0))";
process.stdout.write(execFileSync(process.execPath, ["-e", script, ...process.argv.slice(2)]));
