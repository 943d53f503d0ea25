#!/usr/bin/env bash
# Repeated field lines in `response.writeHead(status, [name, value, ...])`, with and without another field set before.
#
# Guess: the flat list is sent line by line in both cases; a field that was set before is sent beside them.
# Seen with fastify 5.12.8 on Node.js 20: without a field set before, all lines are sent. With one, whichever it is, the
# list is merged as `setHeader` would: of two `set-cookie` lines, or two `link` lines, only the last one is sent, in
# silence. `appendHeader` keeps them.
# So a plugin that sets one field on the raw response takes cookies away from a handler that writes its head itself.
#
# Run with Node.js 20 or newer and npm. Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > npm.log
npm install --no-audit --no-fund --save-exact fastify@5.12.8 >> npm.log 2>&1

cat > look.mjs << 'EOF'
import http from 'node:http'
import Fastify from 'fastify'
const app = Fastify()
const lines = ['set-cookie', 'a=1', 'set-cookie', 'b=2', 'link', '</x>', 'link', '</y>']
app.get('/plain', (_request, reply) => { reply.hijack(); reply.raw.writeHead(200, lines); reply.raw.end() })
app.get('/after-another', (_request, reply) => { reply.hijack(); reply.raw.setHeader('x-mine', '1'); reply.raw.writeHead(200, lines); reply.raw.end() })
app.get('/appended', (_request, reply) => { reply.hijack(); reply.raw.setHeader('x-mine', '1'); for (let i = 0; i < lines.length; i += 2) reply.raw.appendHeader(lines[i], lines[i+1]); reply.raw.writeHead(200); reply.raw.end() })
await app.listen({ host: '127.0.0.1', port: 0 })
for (const path of ['/plain', '/after-another', '/appended']) {
  await new Promise((resolve) => http.get({ host: '127.0.0.1', port: app.server.address().port, path }, (answer) => {
    const seen = []
    for (let i = 0; i < answer.rawHeaders.length; i += 2) if (/cookie|link|mine/i.test(answer.rawHeaders[i])) seen.push(`${answer.rawHeaders[i]}=${answer.rawHeaders[i+1]}`)
    console.log(path, seen.join(' ')); answer.resume(); answer.on('end', resolve) }))
}
await app.close()
EOF

cat > expected.txt << 'EOF'
/plain set-cookie=a=1 set-cookie=b=2 link=</x> link=</y>
/after-another x-mine=1 set-cookie=b=2 link=</y>
/appended x-mine=1 set-cookie=a=1 set-cookie=b=2 link=</x> link=</y>
EOF

node look.mjs | tee seen.txt
diff expected.txt seen.txt && echo 'as seen before'
