import { appendFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import fastify from 'fastify'
import cluster from '../../../src/plugin/index.ts'
import { closeWhenTold } from '../support/close-when-told.ts'
import { copyFlags, copyOf } from '../support/copy-flags.ts'

// One copy of an app with work that is done once at its start. The first attempt of all never ends: its copy is to be
// killed. Notes in the journal what it is told and what it gets.
const { values } = parseArgs({
  options: {
    ...copyFlags,
    journal: { type: 'string', default: '' }
  },
  strict: true
})
const { options, address } = copyOf(values)

const app = fastify({ logger: { level: 'warn' } })
await app.register(cluster, options)
closeWhenTold(app)
await app.listen(address)

const result = await app.cluster.once('migrate', 1, async ({ attempt, previous, token }) => {
  note({ kind: 'begin', attempt, previous, token })
  if (previous === null) await new Promise(() => {})
  return { by: values.id, attempt }
})
note({ kind: 'result', result })

function note (line: object): void {
  appendFileSync(values.journal, `${JSON.stringify({ node: values.id, ...line })}\n`)
}
