#!/usr/bin/env bash
# Fastify's `trustProxy` as a number of hops, in two releases that both satisfy ^5.8.3.
#
# Guess: a number means the same in all of them, as in Express: `trustProxy: 1` behind one proxy gives the client's
# address, its protocol and its host. A release in which it does not would refuse the option.
# Seen: 5.8.3 does that. 5.12.8 accepts the number at the start, says nothing, and trusts nobody: `request.ip` is the
# proxy, `protocol` is http, `host` is what the proxy sent. Its types and its reference say that the form is gone. An
# address, a range or a function works alike in both.
# So an update within the range turns secure cookies, redirects to https and limits per client into those of the proxy.
#
# Run with Node.js 20 or newer and npm. Fails when any of that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > npm.log
npm install --no-audit --no-fund --save-exact old@npm:fastify@5.8.3 new@npm:fastify@5.12.8 >> npm.log 2>&1

cat > look.mjs << 'EOF'
import { readFileSync } from 'node:fs'
import http from 'node:http'

const forms = { number: 1, address: '127.0.0.1', function: (address, hop) => address === '127.0.0.1' && hop < 1 }
for (const name of ['old', 'new']) {
  const { default: Fastify } = await import(name)
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'))
  for (const [form, trustProxy] of Object.entries(forms)) {
    const app = Fastify({ trustProxy })
    app.get('/', async ({ ip, protocol, host }) => `${ip} ${protocol} ${host}`)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const headers = {
      host: 'inside.example',
      'x-forwarded-for': '203.0.113.7',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example'
    }
    const text = await new Promise((resolve, reject) => {
      http.get({ host: '127.0.0.1', port: app.server.address().port, headers }, (answer) => {
        let body = ''
        answer.on('data', (bytes) => { body += bytes })
        answer.on('end', () => { resolve(body) })
      }).on('error', reject)
    })
    console.log(`${version} ${form}: ${text}`)
    await app.close()
  }
}
EOF

cat > expected.txt << 'EOF'
5.8.3 number: 203.0.113.7 https shop.example
5.8.3 address: 203.0.113.7 https shop.example
5.8.3 function: 203.0.113.7 https shop.example
5.12.8 number: 127.0.0.1 http inside.example
5.12.8 address: 203.0.113.7 https shop.example
5.12.8 function: 203.0.113.7 https shop.example
EOF

node look.mjs | tee seen.txt
diff expected.txt seen.txt && echo 'as seen before'
