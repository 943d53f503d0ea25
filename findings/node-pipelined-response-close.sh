#!/usr/bin/env bash
# A pipelined request whose client goes away: what Fastify's hooks and Node's response tell of it.
#
# Guess: when the connection dies, the response of every request on it emits `close`, as the documentation of
# `http.ServerResponse` says: a place or a lock that is given back there is always given back.
# Seen with fastify 5.12.8 on Node.js 20: of two requests in one connection only the response of the first, which owns the
# socket, emits `close`. That of the second, which waits behind it, has no socket yet and never hears of the end:
# `destroyed` and `closed` stay false, and `onResponse` does not run. The request itself does emit `close`, and Fastify's
# `onRequestAbort` runs for both.
# So whoever counts requests by the close of their responses counts some for ever, as often as a client likes.
#
# Node.js 24.21 and 26 tell the second response too, a tick after the close of the socket: code that makes up for the older
# ones tells it twice there.
#
# Run with Node.js 20 or 22 and npm. Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > npm.log
npm install --no-audit --no-fund --save-exact fastify@5.12.8 >> npm.log 2>&1

cat > look.mjs << 'EOF'
import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'

const told = []
const app = Fastify()
app.addHook('onRequest', async (request, reply) => {
  reply.raw.on('close', () => { told.push(`${request.url} response closed`) })
  request.raw.on('close', () => { told.push(`${request.url} request closed`) })
})
app.addHook('onResponse', async (request) => { told.push(`${request.url} onResponse`) })
app.addHook('onRequestAbort', async (request) => { told.push(`${request.url} onRequestAbort`) })
app.get('/first', (_request, reply) => { reply.hijack(); reply.raw.write('begun') })
let second
app.get('/second', (_request, reply) => { second = reply.raw; reply.hijack() })
await app.listen({ host: '127.0.0.1', port: 0 })

const client = net.connect(app.server.address().port, '127.0.0.1')
client.on('error', () => {})
client.write('GET /first HTTP/1.1\r\nhost: a\r\n\r\nGET /second HTTP/1.1\r\nhost: a\r\n\r\n')
while (second === undefined) await delay(5)
client.destroy()
await delay(500)
console.log(told.join('\n'))
console.log(`second: destroyed ${second.destroyed}, closed ${second.closed}, socket ${second.socket}`)
await app.close()
EOF

cat > expected.txt << 'EOF'
/first response closed
/first request closed
/first onRequestAbort
/second request closed
/second onRequestAbort
second: destroyed false, closed false, socket null
EOF

node look.mjs | tee seen.txt
diff <(sort expected.txt) <(sort seen.txt) && echo 'as seen before'
