// The launcher's protocol as a small Node program: registration, ping, publish, goodbye, and nothing kept or checked.
//
//   node node_server.js PATH
//
// Rule: what one read asks for is answered by one write, as any fair Node server would; events are encoded once.
'use strict'
const net = require('net')

const clients = new Set()
let version = 0

function tell (event) {
  const line = JSON.stringify({ ...event, version: ++version }) + '\n'
  for (const client of clients) if (!client.quiet) client.due += line
}

function flush () {
  for (const client of clients) {
    if (client.due) client.write(client.due)
    client.due = ''
  }
}

const answers = {
  register (client, { pid, subscribe }) {
    clients.add(client)
    client.pid = pid
    client.quiet = subscribe !== undefined
    tell({ event: 'process_spawned', pid })
    client.due += JSON.stringify({ event: 'registered', client_id: 1, version }) + '\n'
    if (client.quiet) client.due += JSON.stringify({ event: 'subscribed', version, truncated: false }) + '\n'
  },
  ping (client, { nonce }) { client.due += JSON.stringify({ event: 'pong', nonce, version }) + '\n' },
  publish (client, { topic, payload }) { tell({ event: 'published', topic, payload, client_id: 1 }) },
  goodbye (client) { leave(client); client.end(client.due); client.due = '' }
}

function leave (client) {
  if (!clients.has(client)) return
  tell({ event: 'process_exited', pid: client.pid })
  clients.delete(client)
}

net.createServer(client => {
  let rest = ''
  Object.assign(client, { due: '', quiet: false })
  client.setEncoding('utf8')
  client.on('error', () => 0)
  client.on('close', () => { leave(client); flush() })
  client.on('data', text => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()
    for (const line of lines) {
      const command = JSON.parse(line)
      answers[command.cmd](client, command)
    }
    flush()
  })
}).listen({ path: process.argv[2], backlog: 4096 })
