#!/usr/bin/env bash
# `server.setSecureContext()`, with which a server gets a renewed certificate without a restart.
#
# Guess: it replaces what it is given, the certificate and its key, and leaves the rest of the server as it was made.
# Seen with Node.js 20: it replaces the whole context. A server made with `minVersion: 'TLSv1.3'` speaks TLS 1.2 after
# `setSecureContext({ key, cert })`; ciphers, authorities and the other options of the context go the same way. Nothing is
# said.
# So a server that is to keep its floor has to be given all its options again at each renewal.
#
# Run with Node.js 20 or newer and npm. Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > npm.log
npm install --no-audit --no-fund --save-exact selfsigned@5.5.0 >> npm.log 2>&1

cat > look.mjs << 'EOF'
import https from 'node:https'
import tls from 'node:tls'
import selfsigned from 'selfsigned'

const { private: key, cert } = await selfsigned.generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048 })
const server = https.createServer({ key, cert, minVersion: 'TLSv1.3' }, (_request, answer) => { answer.end('ok') })
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve) })

function ask (maxVersion) {
  const { port } = server.address()
  return new Promise((resolve) => {
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: cert, maxVersion }, () => {
      resolve(socket.getProtocol())
      socket.destroy()
    })
    socket.on('error', () => { resolve('refused') })
  })
}

for (const [when, context] of Object.entries({
  'as made': null,
  'given key and certificate': { key, cert },
  'given everything': { key, cert, minVersion: 'TLSv1.3' }
})) {
  if (context !== null) server.setSecureContext(context)
  console.log(`${when}: TLS 1.2 ${await ask('TLSv1.2')}, TLS 1.3 ${await ask('TLSv1.3')}`)
}
server.close()
EOF

cat > expected.txt << 'EOF'
as made: TLS 1.2 refused, TLS 1.3 TLSv1.3
given key and certificate: TLS 1.2 TLSv1.2, TLS 1.3 TLSv1.3
given everything: TLS 1.2 refused, TLS 1.3 TLSv1.3
EOF

node look.mjs | tee seen.txt
diff expected.txt seen.txt && echo 'as seen before'
