import { describe, expect, it } from 'vitest'
import { createSingleton, createWorkers, withdrawTasks } from '../../../src/plugin/primitives/singleton.ts'
import type { ClusterWorkers, WorkerGrant } from '../../../src/plugin/primitives/singleton-types.ts'
import { settle } from '../../support/manual-clock.ts'
import type { TestNode } from './support/primitives.ts'
import { startTestCluster, untilAborted } from './support/primitives.ts'

/** Work of which the tests see where it is. */
class Journal {
  readonly working = new Map<string, WorkerGrant>()
  readonly lines: string[] = []
  /** Holds runs that were asked to end. */
  held: Promise<void> = Promise.resolve()

  on (node: TestNode, task: string) {
    const id = node.engine.status().nodeId
    return async (signal: AbortSignal, grant: WorkerGrant): Promise<void> => {
      const work = `/${task}/${grant.worker}`
      const run = id + work
      for (const other of this.working.keys()) if (other.endsWith(work)) this.lines.push(`${run} overlaps ${other}`)
      this.working.set(run, grant)
      this.lines.push(`+${run}`)
      await untilAborted(signal)
      await this.held
      this.working.delete(run)
      this.lines.push(`-${run} ${(signal.reason as { readonly code: string }).code}`)
    }
  }

  /** How many runs each node has. */
  loads (): Record<string, number> {
    const loads: Record<string, number> = {}
    for (const run of this.working.keys()) {
      const node = run.slice(0, run.indexOf('/'))
      loads[node] = (loads[node] ?? 0) + 1
    }
    return loads
  }

  /** The node that the one run is on. */
  get place (): string { return [...this.working.keys()].map((run) => run.slice(0, run.indexOf('/'))).join() }
}

function spread (size: number) {
  const test = startTestCluster(size)
  const journal = new Journal()
  const start = (at: number, name = 's') =>
    createSingleton(test.node(at), name, journal.on(test.node(at), name), { placement: 'spread' })
  const workers = (at: number, count: number): ClusterWorkers =>
    createWorkers(test.node(at), 'w', count, journal.on(test.node(at), 'w'))
  const indexOf = (id: string): number => Number(id.slice(1)) - 1
  return { ...test, journal, start, workers, indexOf }
}

/** The session of a node ends, as the leader writes it. */
function expire ({ cluster, node }: ReturnType<typeof spread>, at: number): void {
  const { machine, engine } = node(at)
  const { nodeId } = engine.status()
  const session = [...machine.sessions.all()].find(({ owner }) => owner === nodeId)
  cluster.append(Buffer.from(JSON.stringify({ kind: 'session-expire', session: session?.id, beat: session?.beat })))
}

describe('a singleton that is spread', () => {
  it('runs on one node, which need not lead, with a token that fences', async () => {
    const { journal, nodes, start } = spread(3)
    const tasks = nodes.map((_node, at) => start(at))
    await settle()
    const [grant] = journal.working.values()
    expect(journal.working.size).toBe(1)
    expect(tasks.map(({ state }) => state).sort()).toEqual(['running', 'waiting', 'waiting'])
    expect(() => { grant?.check() }).not.toThrow()
    expect(nodes[0]?.machine.fences.allows(Number(grant?.token))).toBe(true)
    expect(nodes[0]?.machine.tasks.get('s')).toMatchObject({ node: journal.place, token: Number(grant?.token) })
  })

  it('is on several nodes, where there are many', async () => {
    const { journal, nodes, start } = spread(3)
    for (let count = 0; count < 30; count++) for (const at of nodes.keys()) start(at, `s${count}`)
    await settle()
    const loads = journal.loads()
    expect(Object.keys(loads)).toHaveLength(3)
    expect(Math.min(...Object.values(loads))).toBeGreaterThan(3)
  })

  it('goes to another node at once where its own withdraws, behind the end of its run', async () => {
    const { journal, node, nodes, start, indexOf } = spread(3)
    for (const at of nodes.keys()) start(at)
    await settle()
    const first = journal.place
    const [grant] = journal.working.values()
    let release = (): void => {}
    journal.held = new Promise((resolve) => { release = resolve })
    const stopping = withdrawTasks(node(indexOf(first)))
    await settle()
    expect(stopping.running()).toEqual(['s'])
    expect(journal.place).toBe(first)
    release()
    await stopping.known
    await settle()
    expect(journal.place).not.toBe(first)
    expect(journal.lines.slice(1)).toEqual([`-${first}/s/0 RAFT_HANDOVER`, `+${journal.place}/s/0`])
    expect(node(0).machine.fences.allows(Number(grant?.token))).toBe(false)
    // What is registered later on that node runs elsewhere, too.
    start(indexOf(first), 'later')
    await settle()
    expect(journal.loads()).toEqual({ [journal.place]: 1 })
  })

  it('of a process that is cut off starts elsewhere after stopGraceMs, when its session is over in the log', async () => {
    const test = spread(3)
    const { advance, journal, nodes, start, indexOf } = test
    for (const at of nodes.keys()) start(at)
    await settle()
    const first = journal.place
    const [grant] = journal.working.values()
    // It is alone: nothing that it says arrives any more.
    nodes.forEach(({ engine }, at) => { if (at === indexOf(first)) engine.fate = 'dropped' })
    expire(test, indexOf(first))
    await settle()
    expect(() => { grant?.check() }).toThrow(expect.objectContaining({ code: 'RAFT_SESSION_LOST' }))
    expect(journal.lines.slice(1)).toEqual([`-${first}/s/0 RAFT_SESSION_LOST`])
    await advance(2_000)
    expect(journal.working.size).toBe(1)
    expect(journal.lines.filter((line) => line.includes('overlaps'))).toEqual([])
  })

  it('waits for a run that ignores its signal, as long as the process of that lives', async () => {
    const test = spread(2)
    const { advance, journal, node, nodes, start, indexOf } = test
    for (const at of nodes.keys()) start(at)
    await settle()
    const first = journal.place
    journal.held = new Promise(() => {})
    withdrawTasks(node(indexOf(first)))
    await advance(60_000)
    expect(journal.lines).toEqual([`+${first}/s/0`])
    expire(test, indexOf(first))
    await settle()
    expect(journal.lines).toHaveLength(1)
    await advance(1_100)
    expect(journal.lines.slice(1)).toEqual([expect.stringContaining('overlaps'), expect.stringMatching(/^\+n[12]\/s\/0$/)])
  })

  it('that is stopped on its node runs on another, and its name can be used again', async () => {
    const { journal, nodes, start, indexOf } = spread(2)
    const tasks = nodes.map((_node, at) => start(at))
    await settle()
    const first = journal.place
    const at = indexOf(first)
    expect(() => { start(at) }).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' }))
    await tasks[at]?.stop()
    await settle()
    expect(tasks[at]?.state).toBe('stopped')
    expect(journal.place).not.toBe(first)
    start(at)
    await settle()
    // The hash says the same again.
    expect(journal.place).toBe(first)
    expect(journal.lines.filter((line) => line.includes('overlaps'))).toEqual([])
  })
})

describe('copies that differ in where a task runs', () => {
  it('start a spread run behind the end of the one on the leader', async () => {
    const { advance, cluster, journal, node, start } = spread(2)
    const led = createSingleton(node(0), 's', untilAborted)
    await settle()
    expect(led.state).toBe('running')
    const other = start(1)
    await advance(5_000)
    expect([led.state, other.state]).toEqual(['running', 'waiting'])
    await led.stop()
    await settle()
    expect(other.state).toBe('running')
    expect(cluster.nodes[0]?.machine.tasks.get('s')).toMatchObject({ node: 'n2' })
    expect(journal.lines).toEqual(['+n2/s/0'])
  })

  it('start it after stopGraceMs when another leader stands where nothing tells of that end', async () => {
    const { advance, cluster, journal, node, start } = spread(3)
    createSingleton(node(0), 's', () => new Promise(() => {}))
    await settle()
    start(1)
    cluster.lead(2)
    await settle()
    expect(journal.lines).toEqual([])
    await advance(2_500)
    expect(journal.lines).toEqual(['+n2/s/0'])
  })

  it('start a run on the leader behind the end of a spread one', async () => {
    const { advance, journal, node, start } = spread(2)
    const other = start(1)
    await settle()
    const led = createSingleton(node(0), 's', untilAborted)
    await advance(5_000)
    expect([led.state, journal.place]).toEqual(['waiting', 'n2'])
    await other.stop()
    await settle()
    expect(led.state).toBe('running')
  })
})

describe('workers', () => {
  it('are as many on each node, give or take one, and each is somewhere', async () => {
    const { journal, nodes, workers } = spread(3)
    for (const at of nodes.keys()) workers(at, 7)
    await settle()
    expect([...journal.working.values()].map(({ worker }) => worker).sort()).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(Object.values(journal.loads()).sort()).toEqual([2, 2, 3])
    expect(journal.lines.filter((line) => line.includes('overlaps'))).toEqual([])
  })

  it('stay where they are when a node withdraws, except its own', async () => {
    const { journal, node, nodes, workers } = spread(3)
    for (const at of nodes.keys()) workers(at, 6)
    await settle()
    const kept = [...journal.working].filter(([run]) => !run.startsWith('n3/'))
    await withdrawTasks(node(2)).known
    await settle()
    expect(journal.loads()).toEqual({ n1: 3, n2: 3 })
    for (const [run, grant] of kept) expect(journal.working.get(run)).toBe(grant)
  })

  it('are refused out of bounds', () => {
    const { node } = spread(1)
    for (const count of [0, 257, 1.5, NaN]) {
      expect(() => createWorkers(node(0), 'w', count, () => {}))
        .toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' }))
    }
  })
})
