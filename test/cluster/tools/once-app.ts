import { appendFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import fastify from 'fastify'
import cluster from '../../../src/plugin/index.ts'
import { closeWhenTold } from '../support/close-when-told.ts'

// One copy of an app with work that is done once at its start. The first attempt of all never ends: its copy is to be
// killed. Notes in the journal what it is told and what it gets.
const { values } = parseArgs({
  options: {
    id: { type: 'string', default: 'n1' },
    members: { type: 'string', default: '' },
    'data-dir': { type: 'string', default: '' },
    journal: { type: 'string', default: '' }
  },
  strict: true
})
const members = values.members.split(',').map((member) => {
  const [id = '', url = ''] = member.split('=')
  return { id, url }
})
const own = new URL(members.find(({ id }) => id === values.id)?.url ?? '')

const app = fastify({ logger: { level: 'warn' } })
await app.register(cluster, { id: values.id, members, dataDir: values['data-dir'] })
closeWhenTold(app)
await app.listen({ host: own.hostname, port: Number(own.port) })

const result = await app.cluster.once('migrate', 1, async ({ attempt, previous, token }) => {
  note({ kind: 'begin', attempt, previous, token })
  if (previous === null) await new Promise(() => {})
  return { by: values.id, attempt }
})
note({ kind: 'result', result })

function note (line: object): void {
  appendFileSync(values.journal, `${JSON.stringify({ node: values.id, ...line })}\n`)
}
