// A worker in JavaScript: the same as worker.py, with nothing but Node's own modules. It speaks the protocol itself: one
// JSON object a line over the socket that QUARTERDECK_ENDPOINT names (../node_client.js explains it from the beginning).

"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const net = require("node:net");

const STEPS = 5; // how often it says that it is still at it
const CANNOT_GO_ON = 1;
const NAME = process.env.QUARTERDECK_CHILD || "node";

const socket = net.createConnection(process.env.QUARTERDECK_ENDPOINT || "");
socket.setEncoding("utf8");

let runId = null;
let leaving = false;

// -- Asking, and being answered ----------------------------------------------------------------------------------------

let nextId = 1;
const calls = new Map(); // the commands that wait for their answer, by id

function send(command) {
  socket.write(JSON.stringify(command) + "\n");
}

function call(command) {
  return new Promise((resolve, reject) => {
    calls.set(nextId, { resolve, reject });
    send({ ...command, id: nextId++ });
  });
}

let rest = "";

socket.on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  for (const line of lines) {
    receive(JSON.parse(line));
  }
});

function receive(value) {
  const waiting = calls.get(value.id);
  if (waiting !== undefined) {
    calls.delete(value.id);
    return value.event === "error" ? waiting.reject(value) : waiting.resolve(value);
  }
  if (value.event === "jobs_claimed" && value.pid === process.pid) {
    execute(value).then(wait).catch(cannotGoOn);
  } else if (value.cmd === "shutdown") {
    leave();
  } else if (value.event === "error") {
    cannotGoOn(value);
  }
}

// -- One job after the other -------------------------------------------------------------------------------------------

socket.on("connect", () => {
  const subscribe = { events: ["jobs_claimed"] };
  call({ cmd: "register", kind: "srv", name: NAME, pid: process.pid, version: `node ${process.versions.node}`, subscribe })
    .then((registered) => {
      runId = registered.run_id;
      return wait();
    })
    .catch(cannotGoOn);
});

async function wait() {
  if (leaving) {
    return;
  }
  send({ cmd: "report_status", status: { state: "idle" } });
  await call({ cmd: "jobs_claim" });
}

async function execute(job) {
  const mine = { key: job.key, attempt: job.attempt };
  send({ cmd: "report_status", status: { state: "working", job: job.key, attempt: job.attempt } });
  try {
    note(job);
    const result = await perform(job, (percent) => tell({ cmd: "jobs_progress", ...mine, percent }));
    await tell({ cmd: "jobs_finish", ...mine, result });
  } catch (error) {
    if (error instanceof LeaseLost) {
      console.log(`${job.key}: ${error.message}`);
    } else if (error instanceof Error) {
      await tell({ cmd: "jobs_fail", ...mine, why: error.message.slice(0, 500) }).catch(forgetIfLost);
    } else {
      throw error; // the launcher's own word: something is wrong with us
    }
  }
}

class LeaseLost extends Error {} // the job is not ours any more: it was cancelled, or we were too slow

async function tell(command) {
  try {
    await call(command);
  } catch (refused) {
    throw refused.code === "conflict" ? new LeaseLost(refused.message) : new Error(refused.message);
  }
}

function forgetIfLost(error) {
  if (!(error instanceof LeaseLost)) {
    throw error;
  }
}

// The work's effect on the world, as far as this example has one: a line in the ledger, written at once.
function note(job) {
  if (process.env.LEDGER) {
    const line = { run: runId, key: job.key, attempt: job.attempt, pid: process.pid };
    fs.appendFileSync(process.env.LEDGER, JSON.stringify(line) + "\n"); // opened with O_APPEND, written by one write
  }
}

// -- The work: JSON, {"task": …, "ms": how long it takes} --------------------------------------------------------------

const TASKS = {
  digest: (work) => crypto.createHash("sha256").update(String(work.text ?? "")).digest("hex"),
  fail: (work, job) => {
    if (job.attempt < (work.until ?? Infinity)) {
      throw new Error(`it was to fail, attempt ${job.attempt}`);
    }
    return `after ${job.attempt} attempts`;
  },
  crash: () => process.exit(3),
};

async function perform(job, beat) {
  const work = JSON.parse(job.work);
  if (work === null || !Object.hasOwn(TASKS, work.task)) {
    throw new Error(`expected an object whose task is one of ${Object.keys(TASKS).join(", ")}, found ${job.work.slice(0, 60)}`);
  }
  for (let step = 1; work.ms && step <= STEPS; step++) {
    await new Promise((resolve) => setTimeout(resolve, work.ms / STEPS));
    await beat(Math.floor((100 * step) / STEPS));
  }
  return TASKS[work.task](work, job);
}

// -- The end -----------------------------------------------------------------------------------------------------------

function leave() {
  leaving = true;
  send({ cmd: "goodbye" }); // what we had waits again; the launcher closes the connection
}

function cannotGoOn(error) {
  console.error(`${NAME}: ${error.message}`);
  process.exit(CANNOT_GO_ON); // and be replaced
}

socket.on("close", () => process.exit(leaving ? 0 : CANNOT_GO_ON));
socket.on("error", (error) => leaving || cannotGoOn(error));
process.on("SIGTERM", leave);
process.on("SIGINT", leave);
