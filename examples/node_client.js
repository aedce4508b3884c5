// A client in another language: Node.js, and nothing but its own `net`.
//
//     quarterdeck serve                                                  # one terminal
//     python examples/service.py                                         # another
//     QUARTERDECK_ENDPOINT=$(quarterdeck endpoint) node examples/node_client.js
//
// It asks the indexer (service.py) for a folder, hears the answer, and stays until the indexer has gone; then it tells
// everybody that it noticed, and says goodbye. All of the protocol that it needs:
//
//   - The launcher listens on a Unix socket (on Windows: a named pipe). Its address is in QUARTERDECK_ENDPOINT.
//   - Each line is one JSON object. What we send is a command, named by `cmd`.
//   - What comes back is named by `event`: stream events, which every client gets, each with a `version` that counts up by
//     one; and answers to us alone. A command with an `id` is answered with the same `id`.
//   - The first command is `register`. The last is `goodbye`; who goes without one is told as crashed.

"use strict";

const net = require("node:net");

const FOLDER = process.argv[2] || "docs";

const endpoint = process.env.QUARTERDECK_ENDPOINT;
if (!endpoint) {
  console.error("node_client: QUARTERDECK_ENDPOINT is not set; try QUARTERDECK_ENDPOINT=$(quarterdeck endpoint)");
  process.exit(2);
}

const socket = net.createConnection(endpoint);
socket.setEncoding("utf8"); // keeps a character together whose bytes come in two reads

function send(command) {
  socket.write(JSON.stringify(command) + "\n");
}

// -- Lines in ----------------------------------------------------------------------------------------------------------

let rest = "";

socket.on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop(); // what comes after the last newline is the beginning of a line still to come
  for (const line of lines) {
    receive(JSON.parse(line));
  }
});

// -- What we do about them ---------------------------------------------------------------------------------------------

let clientId = null; // once we are registered
let indexerPid = null;

function receive(value) {
  if (value.kind === "command") {
    return directed(value); // what the launcher asks us to do
  }
  switch (value.event) {
    case "registered": // the answer to `register`: who we are in this run of the launcher
      clientId = value.client_id;
      console.log(`node: client ${clientId} of launcher pid ${value.launcher_pid}, run ${value.run_id}`);
      send({ cmd: "publish", topic: "index", payload: { folder: FOLDER }, id: "ask" });
      send({ cmd: "get_snapshot" });
      return;
    case "snapshot": // the whole state: who else is here?
      indexerPid = value.processes.find((row) => row.name === "indexer" && row.state === "running")?.pid ?? indexerPid;
      return;
    case "ack": // the answer to a command that has an `id` and no answer of its own
      console.log(`node: asked for ${FOLDER}, told at version ${value.version}`);
      return;
    case "published":
      if (value.topic === "indexed") {
        console.log(`node: ${value.payload.folder} has ${value.payload.files} files`);
      }
      return;
    case "process_spawned": // an indexer that comes after us
      indexerPid = value.name === "indexer" ? value.pid : indexerPid;
      return;
    case "process_exited":
      if (value.pid === indexerPid) {
        console.log(`node: the indexer has gone (${value.reason})`);
        send({ cmd: "publish", topic: "noticed", payload: { pid: value.pid, reason: value.reason } });
        leave();
      }
      return;
    case "error": // `fatal` ones are followed by the end of the connection
      console.error(`node: ${value.code}: ${value.message}`);
      process.exitCode = 1;
  }
  // Everything else is passed over: a newer launcher may tell more than we know.
}

function directed(command) {
  if (command.cmd === "shutdown") {
    console.log(`node: the launcher shuts down (${command.reason})`);
    leave();
  }
}

let leaving = false;

function leave() {
  leaving = true;
  send({ cmd: "goodbye" }); // the launcher closes the connection when it has told everybody
}

// -- The connection's life ---------------------------------------------------------------------------------------------

socket.on("connect", () => {
  // Nothing but errors is sent to us before we register. The pid must be our own: the kernel tells the launcher.
  send({
    cmd: "register",
    kind: "tool",
    name: "node",
    pid: process.pid,
    version: `node ${process.versions.node}`,
    // Only what we look at; without this, every event.
    subscribe: { events: ["published", "process_*"] },
  });
});

socket.on("error", (error) => {
  if (leaving) {
    return; // a launcher that shuts down may close before it reads our goodbye
  }
  console.error(`node: cannot talk to a launcher at ${endpoint}: ${error.message}`);
  process.exitCode = 4;
});

process.on("SIGINT", leave);
process.on("SIGTERM", leave);
