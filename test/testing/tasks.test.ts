import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { OnceGrant, WorkerGrant } from '../../src/plugin/index.ts'
import { cluster } from '../../src/plugin/index.ts'
import type { TestCluster } from '../../src/testing/index.ts'
import { createTestCluster } from '../../src/testing/index.ts'

async function startCopies (register: (app: FastifyInstance, id: string) => void): Promise<TestCluster> {
  const copies = await createTestCluster<FastifyInstance>({
    createApp: async ({ id, options }) => {
      const app = Fastify()
      await app.register(cluster, options)
      register(app, id)
      return app
    }
  })
  onTestFinished(async () => { await copies.close() })
  await copies.elect('n1')
  return copies
}

/** Three copies with a singleton and three workers that are spread, and what their runs did. */
async function startSpread () {
  const working = new Map<string, { readonly id: string, readonly grant: WorkerGrant }>()
  const overlaps: string[] = []
  const ends: string[] = []
  const work = (id: string, task: string) => async (signal: AbortSignal, grant: WorkerGrant): Promise<void> => {
    const run = `${task} ${grant.worker}`
    const other = working.get(run)
    if (other !== undefined) overlaps.push(`${run} on ${id} while on ${other.id}`)
    working.set(run, { id, grant })
    await new Promise<void>((resolve) => { signal.addEventListener('abort', () => { resolve() }, { once: true }) })
    working.delete(run)
    ends.push(`${run} on ${id}: ${(signal.reason as { readonly code: string }).code}`)
  }
  const copies = await startCopies((app, id) => {
    app.cluster.singleton('alone', work(id, 'alone'), { placement: 'spread' })
    app.cluster.workers('many', 3, work(id, 'many'))
  })
  const runsOn = (id: string): readonly string[] => [...working].filter(([, run]) => run.id === id).map(([run]) => run)
  const areEven = (ids: readonly string[]): boolean =>
    working.size === 4 && ids.every((id) => runsOn(id).some((run) => run.startsWith('many')))
  await copies.until(() => areEven(copies.ids))
  // Those of copies that came first, for the others.
  ends.length = 0
  return { copies, working, overlaps, ends, runsOn, areEven }
}

describe('tasks that are spread, on copies in one process', () => {
  it('have ended on a copy that is cut off before they begin elsewhere, and come back with it', async () => {
    const { copies, working, overlaps, ends, runsOn, areEven } = await startSpread()
    const cutOff = runsOn('n2')
    const grants = cutOff.map((run) => working.get(run)?.grant)
    copies.partition(['n1', 'n3'], ['n2'])
    await copies.until(() => cutOff.every((run) => ends.includes(`${run} on n2: RAFT_SESSION_LOST`)))
    // Elsewhere nothing has begun yet.
    expect(working.size).toBe(4 - cutOff.length)
    for (const grant of grants) {
      expect(() => { grant?.check() }).toThrow(expect.objectContaining({ code: 'RAFT_SESSION_LOST' }))
    }
    await copies.until(() => areEven(['n1', 'n3']))
    copies.heal()
    await copies.until(() => areEven(copies.ids))
    expect(overlaps).toEqual([])
  })

  it('have ended on a copy that is cut off with the leader in it, too', async () => {
    const { copies, overlaps, areEven } = await startSpread()
    copies.partition(['n1'], ['n2', 'n3'])
    await copies.until(() => areEven(['n2', 'n3']))
    copies.heal()
    await copies.until(() => areEven(copies.ids))
    expect(overlaps).toEqual([])
  })

  it('move at once where a copy closes, and a change of leader moves none', async () => {
    const { copies, overlaps, ends, areEven } = await startSpread()
    await copies.elect('n2')
    await copies.advance(5_000)
    expect(ends).toEqual([])
    const closing = copies.stop('n3')
    await copies.until(() => areEven(['n1', 'n2']), { withinMs: 500 })
    await copies.run(closing)
    expect(ends.length).toBeGreaterThan(0)
    for (const end of ends) expect(end).toMatch(/ on n3: RAFT_HANDOVER$/)
    expect(overlaps).toEqual([])
  })
})

describe('work that is done once, on copies in one process', () => {
  it('is begun again when its copy is killed half way, and the next one is told', async () => {
    const grants: Array<Pick<OnceGrant, 'attempt' | 'previous'> & { readonly id: string }> = []
    const results = new Map<string, unknown>()
    let hasDied = false
    const copies = await startCopies((app, id) => {
      app.decorate('migrate', async () => {
        results.set(id, await app.cluster.once('migrate', 1, async ({ attempt, previous, signal }) => {
          grants.push({ id, attempt, previous })
          if (!hasDied) {
            await new Promise<void>((resolve) => { signal.addEventListener('abort', () => { resolve() }, { once: true }) })
          }
          return { by: id }
        }))
      })
    })
    const migrate = async (id: string): Promise<void> => {
      await (copies.app(id) as FastifyInstance & { readonly migrate: () => Promise<void> }).migrate()
    }
    // What a killed copy says reaches nobody.
    const calls = copies.ids.map(async (id) => await migrate(id).catch(() => {}))
    await copies.until(() => grants.length === 1)
    const [{ id: first } = { id: '' }] = grants
    hasDied = true
    await copies.kill(first)
    await copies.until(() => results.size === 2)
    const [, second] = grants
    expect(grants).toHaveLength(2)
    expect(second).toMatchObject({ attempt: 2, previous: 'crashed' })
    expect([...results.values()]).toEqual(Array(2).fill({ by: second?.id }))
    expect(results.has(first)).toBe(false)
    await copies.run(Promise.all(calls))
  })
})
