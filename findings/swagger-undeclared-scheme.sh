#!/usr/bin/env bash
# A route that names a security scheme which the OpenAPI document does not declare, under @fastify/swagger.
#
# Guess: the requirement is written down as it is, or refused with its name: OpenAPI calls such a document invalid.
# Seen with @fastify/swagger 9.9.3 on fastify 5.12.8: `app.swagger()` throws a TypeError about undefined, which names
# neither the route nor the scheme, and with that the whole document is gone: for @fastify/swagger-ui as well. Routes of
# plugins count, even if the application never looks at them.
# So a plugin whose routes state a scheme has to bring that into the document by itself, in a `swaggerTransform`.
#
# Run with Node.js 20 or newer and npm. Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > npm.log
npm install --no-audit --no-fund --save-exact fastify@5.12.8 @fastify/swagger@9.9.3 >> npm.log 2>&1

cat > look.mjs << 'EOF'
import Fastify from 'fastify'
import swagger from '@fastify/swagger'

const bearer = { type: 'http', scheme: 'bearer' }
const documents = {
  'no schemes': {},
  'another scheme': { components: { securitySchemes: { other: bearer } } },
  'the scheme': { components: { securitySchemes: { mine: bearer } } }
}
for (const [name, openapi] of Object.entries(documents)) {
  const app = Fastify()
  await app.register(swagger, { openapi })
  app.get('/a', { schema: { security: [{ mine: [] }] } }, async () => 'a')
  await app.ready()
  try {
    console.log(`${name}: ${JSON.stringify(app.swagger().paths['/a'].get.security)}`)
  } catch (error) {
    console.log(`${name}: ${error.name}, names the scheme: ${error.message.includes('scheme')}`)
  }
  await app.close()
}
EOF

cat > expected.txt << 'EOF'
no schemes: TypeError, names the scheme: false
another scheme: TypeError, names the scheme: false
the scheme: [{"mine":[]}]
EOF

node look.mjs | tee seen.txt
diff expected.txt seen.txt && echo 'as seen before'
