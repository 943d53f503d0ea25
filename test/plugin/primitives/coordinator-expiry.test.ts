import { describe, expect, it } from 'vitest'
import { Coordinator } from '../../../src/plugin/cluster/coordinator.ts'
import { encodeCommand } from '../../../src/plugin/replicated/command.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { startTestCluster } from './support/primitives.ts'

describe('coordinator', () => {
  it('lets locks expire for as long as it is open', async () => {
    const { node, advance } = startTestCluster()
    const cluster = new Coordinator({
      nodeId: 'n1',
      clusterId: 'test',
      context: node(0),
      control: node(0).engine,
      ownOrigin: () => null,
      ownUrl: '',
      memberReach: { anywhere: false, onlyHttps: false },
      joiner: null,
      handOverAfterMs: 1_000,
      auditLogger: new MemoryLogger(),
      hasStarted: () => true,
      leave: () => Promise.reject(new Error('only a node of an application can leave')),
      drain: () => Promise.resolve()
    })
    const acquire = async (requestId: string): Promise<void> => {
      await node(0).engine.propose(
        encodeCommand({ kind: 'lock-acquire', name: 'l', owner: 'gone', ttlMs: 1_000, requestId })
      )
    }
    await acquire('r1')
    expect(await cluster.lock('l').tryAcquire()).toBeNull()
    await advance(1_100)
    await (await cluster.lock('l').acquire()).release()
    cluster.close()
    await acquire('r2')
    await advance(10_000)
    expect(node(0).machine.locks.get('l')).toBeDefined()
    expect(node(0).clock.timers).toBe(0)
  })
})
