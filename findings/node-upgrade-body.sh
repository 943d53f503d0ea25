#!/usr/bin/env bash
# A request that offers another protocol and has a body: where Node's server leaves that body.
#
# Guess: `head`, the third argument of the event `upgrade`, holds what came behind the head of the request, so the body is
# in it, or on the socket. A server that ignores the offer (RFC 9110 section 7.8) can put both back and go on in HTTP/1.1.
# Seen: so it is with Node.js 20.20 to 24.21. With Node.js 26.10 `head` is empty, and the body comes as that of the request,
# which has to be read. What was written for the older ones puts back a head that announces a body which is gone, and
# the server waits for it.
#
# Both newer ones know `shouldUpgradeCallback`, which Node.js 20 ignores without a word: where that answers false, the
# request is one like any other, and its body is where bodies are.
#
# Run with npm on Linux. Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat > look.mjs << 'EOF'
import { createServer } from 'node:http'
import net from 'node:net'

const request = 'POST / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\n' +
  'http2-settings: AA\r\ncontent-length: 4\r\n\r\nbody'
const end = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'

async function look (options) {
  const server = createServer(options)
  const seen = new Promise((resolve) => {
    const read = (req, done) => {
      let text = ''
      req.on('data', (data) => { text += data })
      req.on('end', () => { done(text) })
    }
    server.on('request', (req, res) => { read(req, (text) => { res.end(); resolve(`request, body "${text}"`) }) })
    server.on('upgrade', (req, socket, head) => {
      socket.on('error', () => {})
      read(req, (text) => { socket.end(end); resolve(`upgrade, head "${head}", body "${text}"`) })
    })
  })
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const client = net.connect(server.address().port, '127.0.0.1').on('error', () => {})
  client.write(request)
  const result = await seen
  client.destroy()
  server.close()
  return result
}

const major = process.version.slice(1, 3)
console.log(`${major}: ${await look({})}`)
console.log(`${major}, false: ${await look({ shouldUpgradeCallback: () => false })}`)
EOF

for version in 20.20.2 24.21.0 26.10.0; do
  mkdir "$version"
  (cd "$version" && npm init -y > npm.log && npm install --no-audit --no-fund --save-exact "node@$version" >> npm.log 2>&1)
  "$version/node_modules/node/bin/node" look.mjs
done | tee seen.txt

cat > expected.txt << 'EOF'
20: upgrade, head "body", body ""
20, false: upgrade, head "body", body ""
24: upgrade, head "body", body ""
24, false: request, body "body"
26: upgrade, head "", body "body"
26, false: request, body "body"
EOF
diff expected.txt seen.txt && echo 'as seen before'
