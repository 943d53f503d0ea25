import { describe, expect, it, onTestFinished } from 'vitest'
import { CatchUp } from '../../../src/plugin/cluster/catch-up.ts'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import type { WaitOptions } from '../../../src/raft/index.ts'
import { MemorySnapshotStore, openRaftEngine } from '../../../src/raft/index.ts'
import { HangingStorage, JournalMachine, quietLogger } from '../../support/engine-cluster.ts'
import { FakeEngine } from '../../support/fake-engine.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'

/** An engine whose questions to the leader are answered when the test says so. */
class SlowlyAnsweredEngine extends FakeEngine {
  #open: Array<() => void> = []
  asked = 0

  override readBarrier ({ signal }: WaitOptions = {}): Promise<void> {
    this.asked++
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => { reject(signal.reason as Error) })
      this.#open.push(resolve)
    })
  }

  async answer (): Promise<void> {
    for (const resolve of this.#open.splice(0)) resolve()
    await new Promise((resolve) => { setImmediate(resolve) })
  }
}

function observed (maxLagMs: number) {
  const engine = new SlowlyAnsweredEngine(new JournalMachine(), 'n1', [
    { id: 'n1', url: 'http://127.0.0.1:1' },
    { id: 'n2', url: 'http://127.0.0.1:2' }
  ])
  const clock = { nowMs: 0, monotonicMs: () => clock.nowMs, wallMs: () => 0 }
  const catchUp = new CatchUp({ engine, clock, logger: quietLogger, maxLagMs })
  onTestFinished(() => { catchUp.stop() })
  return { engine, clock, catchUp }
}

describe('catching up', () => {
  it('ends when this node is further behind than allowed, and is reached again at half of that', async () => {
    const { engine, clock, catchUp } = observed(10_000)
    expect([catchUp.caughtUp, catchUp.behindMs]).toEqual([false, Infinity])
    engine.lose('n2')
    clock.nowMs = 3_000
    await engine.answer()
    expect([catchUp.caughtUp, catchUp.behindMs]).toEqual([true, 3_000])
    clock.nowMs = 10_000
    expect(catchUp.caughtUp).toBe(true)
    clock.nowMs = 10_001
    expect(catchUp.caughtUp).toBe(false)
    // The first answer behind that came so late that it says little.
    engine.lose('n2')
    clock.nowMs = 15_500
    await engine.answer()
    expect([catchUp.caughtUp, catchUp.behindMs]).toEqual([false, 5_499])
    engine.lose('n2')
    await engine.answer()
    expect([catchUp.caughtUp, catchUp.behindMs]).toEqual([true, 0])
  })

  it('is judged as before while there is no leader, and anew with the next one', async () => {
    const { engine, clock, catchUp } = observed(10_000)
    engine.lose('n2')
    await engine.answer()
    engine.lose(null)
    clock.nowMs = 60_000
    expect(catchUp.caughtUp).toBe(true)
    engine.lose('n2')
    expect(catchUp.caughtUp).toBe(false)
    await engine.answer()
    expect(catchUp.caughtUp).toBe(true)
  })

  it('is asked for again and again, with a bounded number of open questions, and not after the end', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => { warnings.push(warning) }
    process.on('warning', onWarning)
    onTestFinished(() => { process.off('warning', onWarning) })
    const { engine, catchUp } = observed(100)
    engine.lose('n2')
    await until('as many questions as there may be', () => engine.asked === 11)
    await new Promise((resolve) => { setTimeout(resolve, 200) })
    expect(engine.asked).toBe(11)
    await engine.answer()
    await until('another one', () => engine.asked > 11)
    expect(warnings).toEqual([])
    catchUp.stop()
    await engine.answer()
    const { asked } = engine
    engine.lose('n2')
    await new Promise((resolve) => { setTimeout(resolve, 200) })
    expect(engine.asked).toBe(asked)
  })
})

async function readyz ({ url }: Node, query = ''): Promise<{ readonly status: number, readonly caughtUp: unknown }> {
  const response = await fetch(`${url}/_cluster/v1/readyz${query}`)
  const { checks } = await response.json() as { readonly checks: Readonly<Record<string, unknown>> }
  return { status: response.status, caughtUp: checks.caughtUp }
}

describe('a follower whose disk falls behind', () => {
  it('hears the leader, is not ready as soon as it lags, and is again when it has caught up', async () => {
    const storages = new Map<string, HangingStorage>()
    const nodes = await clusterOfThree(async (app, options) => {
      await app.register(createClusterPlugin(async ({ options: { id, clusterId, members }, ...request }) => {
        const storage = new HangingStorage()
        storages.set(id, storage)
        return await openRaftEngine({
          ...request,
          nodeId: id,
          clusterId,
          members,
          storage,
          snapshots: new MemorySnapshotStore(),
          timing: { heartbeatMs: 50, electionTimeoutMinMs: 500, electionTimeoutMaxMs: 1_000 }
        })
      }), { ...options, maxLagMs: 1_000 })
    })
    const leader = await agreedLeader(nodes)
    const behind = nodes.find((node) => node !== leader)
    if (behind === undefined) throw new Error('no follower')
    await until('all are ready', async () =>
      (await Promise.all(nodes.map((node) => readyz(node)))).every(({ status }) => status === 200))
    storages.get(behind.id)?.hang()
    onTestFinished(() => { storages.get(behind.id)?.goOn() })
    await leader.app.cluster.map('m').set('k', 'v')
    const { caughtUp } = await until('it lags', async () => {
      const found = await readyz(behind, '?verbose')
      return found.status === 503 ? found : null
    })
    expect(caughtUp).toMatchObject({ ok: false, detail: expect.stringMatching(/behind the leader$/) as string })
    expect(behind.app.cluster.leader?.id).toBe(leader.id)
    expect((await readyz(behind, '?exclude=caughtUp')).status).toBe(200)
    expect((await readyz(leader)).status).toBe(200)
    storages.get(behind.id)?.goOn()
    await until('it has caught up', async () => (await readyz(behind)).status === 200)
  }, 30_000)
})
