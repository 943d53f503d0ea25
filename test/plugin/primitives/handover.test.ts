import { describe, expect, it } from 'vitest'
import { createSingleton, pauseSingletons } from '../../../src/plugin/primitives/singleton.ts'
import { settle } from '../../support/manual-clock.ts'
import type { TestNode } from './support/primitives.ts'
import { startTestCluster, untilAborted } from './support/primitives.ts'

/** Who works on a task now, and when it started and ended where. */
class Journal {
  readonly working = new Set<string>()
  readonly lines: string[] = []
  most = 0

  begins (node: string): void {
    this.working.add(node)
    this.most = Math.max(this.most, this.working.size)
    this.lines.push(`${node} begins`)
  }

  ends (node: string, reason: unknown): void {
    this.working.delete(node)
    this.lines.push(`${node} ends: ${codeOf(reason)}`)
  }
}

function codeOf (reason: unknown): string {
  return reason instanceof Error && 'code' in reason ? String(reason.code) : String(reason)
}

/** A run that takes its time to end, by the clock of its node. */
function worker (context: TestNode, journal: Journal, stopMs = 0) {
  return async (signal: AbortSignal): Promise<void> => {
    journal.begins(context.engine.nodeId)
    await untilAborted(signal)
    if (stopMs > 0) await new Promise<void>((resolve) => { context.clock.after(stopMs, resolve) })
    journal.ends(context.engine.nodeId, signal.reason)
  }
}

describe('the handover of a singleton', () => {
  it('starts the next run behind the stop of the last one, however long that takes to come', async () => {
    const { cluster, nodes, advance } = startTestCluster(2)
    const journal = new Journal()
    for (const context of nodes) createSingleton(context, 's', worker(context, journal, 700))
    await settle()
    cluster.lead(1)
    await settle()
    await advance(650)
    expect(journal.lines).toEqual(['n1 begins'])
    await advance(50)
    expect(journal.lines).toEqual(['n1 begins', 'n1 ends: RAFT_LEADERSHIP_LOST', 'n2 begins'])
    expect(journal.most).toBe(1)
    expect(cluster.node(1).machine.tasks.get('s')).toMatchObject({ name: 's', node: 'n2' })
  })

  it('waits for stopGraceMs, and no longer, where nothing says that the last run has ended', async () => {
    const { cluster, nodes, advance } = startTestCluster(2)
    const journal = new Journal()
    for (const context of nodes) createSingleton(context, 's', worker(context, journal), { stopGraceMs: 3_000 })
    await settle()
    cluster.node(0).isCutOff = true
    cluster.lead(1)
    await advance(2_950)
    expect(journal.lines).toEqual(['n1 begins'])
    await advance(50)
    expect(journal.lines).toEqual(['n1 begins', 'n2 begins'])
    // What the old one says in the end is about its own run only.
    cluster.node(0).heal()
    await advance(5_000)
    expect(cluster.node(0).machine.tasks.get('s')).toMatchObject({ node: 'n2' })
  })

  it('waits for handoverDelayMs on top, for effects that nothing can fence', async () => {
    const { cluster, nodes, advance } = startTestCluster(2)
    const journal = new Journal()
    const options = { stopGraceMs: 1_000, handoverDelayMs: 500 }
    for (const context of nodes) createSingleton(context, 's', worker(context, journal), options)
    await settle()
    cluster.node(0).isCutOff = true
    cluster.lead(1)
    await advance(1_450)
    expect(journal.lines).toEqual(['n1 begins'])
    await advance(50)
    expect(journal.lines).toEqual(['n1 begins', 'n2 begins'])
  })

  it('starts as soon as a node that was cut off comes back and says that its run has ended', async () => {
    const { cluster, nodes, advance } = startTestCluster(2)
    const journal = new Journal()
    for (const context of nodes) createSingleton(context, 's', worker(context, journal), { stopGraceMs: 60_000 })
    await settle()
    cluster.node(0).isCutOff = true
    cluster.lead(1)
    await advance(5_000)
    cluster.node(0).heal({ id: 'n2', url: 'http://127.0.0.1:1', term: 2 })
    await advance(500)
    expect(journal.lines).toEqual(['n1 begins', 'n1 ends: RAFT_LEADERSHIP_LOST', 'n2 begins'])
    expect(journal.most).toBe(1)
  })

  it('does not wait for an earlier process of the same node', async () => {
    const { cluster, node } = startTestCluster()
    const { token } = cluster.lead(0)
    const start = { kind: 'task-start', name: 's', node: 'n1', run: 'of before', fence: token }
    cluster.append(Buffer.from(JSON.stringify(start)))
    const journal = new Journal()
    createSingleton(node(0), 's', worker(node(0), journal), { stopGraceMs: 60_000 })
    await settle()
    expect(journal.lines).toEqual(['n1 begins'])
  })

  it('at a planned change ends with RAFT_HANDOVER, committed before leadership moves, and goes on if it does not', async () => {
    const { cluster, nodes, node } = startTestCluster(2)
    const journal = new Journal()
    for (const context of nodes) createSingleton(context, 's', worker(context, journal), { stopGraceMs: 60_000 })
    await settle()
    const paused = pauseSingletons(node(0))
    await paused.known
    expect(journal.lines).toEqual(['n1 begins', 'n1 ends: RAFT_HANDOVER'])
    expect(cluster.node(1).machine.tasks.size).toBe(0)
    // Nobody took over.
    paused.resume()
    await settle()
    expect([...journal.working]).toEqual(['n1'])
    const again = pauseSingletons(node(0))
    await again.known
    cluster.lead(1)
    again.resume()
    await settle()
    expect([...journal.working]).toEqual(['n2'])
    expect(journal.most).toBe(1)
    expect(nodes.map(({ clock }) => clock.timers)).toEqual([0, 0])
  })

  it('goes on only when the last of several changes is over', async () => {
    const { node } = startTestCluster()
    const journal = new Journal()
    createSingleton(node(0), 's', worker(node(0), journal))
    await settle()
    const first = pauseSingletons(node(0))
    const second = pauseSingletons(node(0))
    await Promise.all([first.known, second.known])
    first.resume()
    await settle()
    expect([...journal.working]).toEqual([])
    second.resume()
    await settle()
    expect([...journal.working]).toEqual(['n1'])
  })

  it.each(['lost-answer', 'dropped', 'busy'] as const)('starts once where the answer to its start is %s', async (fate) => {
    const { cluster, node, advance } = startTestCluster()
    const journal = new Journal()
    node(0).engine.fate = fate
    createSingleton(node(0), 's', worker(node(0), journal))
    await advance(1_000)
    expect(journal.lines).toEqual([])
    node(0).engine.fate = 'applied'
    await advance(1_000)
    expect(journal.lines).toEqual(['n1 begins'])
    expect(cluster.node(0).machine.tasks.size).toBe(1)
  })

  it('undoes a start that was under way when it was stopped', async () => {
    const { cluster, node, advance } = startTestCluster()
    const journal = new Journal()
    node(0).engine.fate = 'lost-answer'
    const singleton = createSingleton(node(0), 's', worker(node(0), journal))
    await settle()
    expect(cluster.node(0).machine.tasks.size).toBe(1)
    node(0).engine.fate = 'applied'
    await singleton.stop()
    await advance(1_000)
    expect(journal.lines).toEqual([])
    expect(cluster.node(0).machine.tasks.size).toBe(0)
  })

  it.each([
    ['a name without a character', '', {}],
    ['a name that is too long', 'n'.repeat(201), {}],
    ['a grace below 0', 's', { stopGraceMs: -1 }],
    ['a grace beyond an hour', 's', { stopGraceMs: 3_600_001 }],
    ['a grace that is no number', 's', { stopGraceMs: NaN }],
    ['a delay below 0', 's', { handoverDelayMs: -1 }],
    ['an unknown way to end', 's', { onLeaseLost: 'panic' as 'exit' }]
  ])('refuses %s', (_case, name, options) => {
    const { node } = startTestCluster()
    expect(() => createSingleton(node(0), name, () => {}, options)).toThrow(
      expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' })
    )
  })
})
