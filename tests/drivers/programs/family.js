// A server with a worker in its group and a detached one, which would outlive it.
const { spawn } = require("node:child_process");
const rest = "process.on('SIGTERM', () => {}); setInterval(() => {}, 100000); console.log('worker', process.pid)";
const options = { stdio: ["ignore", "inherit", "inherit"] };
spawn(process.execPath, ["-e", rest], options);
spawn(process.execPath, ["-e", rest], { ...options, detached: true }).unref();
setInterval(() => {}, 100000);
