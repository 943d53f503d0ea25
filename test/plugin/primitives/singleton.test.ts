import { describe, expect, it } from 'vitest'
import type { LeadershipGrant } from '../../../src/plugin/primitives/grant.ts'
import { createSingleton } from '../../../src/plugin/primitives/singleton.ts'
import { settle } from '../../support/manual-clock.ts'
import { startTestCluster, untilAborted } from './support/primitives.ts'

describe('singleton', () => {
  it('runs on the leader alone, and moves with the leadership without a timer', async () => {
    const { cluster, nodes, node } = startTestCluster(3)
    const running = new Map<string, LeadershipGrant>()
    const singletons = nodes.map((context) => createSingleton(context, 'outbox', async (signal, grant) => {
      running.set(context.engine.nodeId, grant)
      await untilAborted(signal)
      running.delete(context.engine.nodeId)
    }))
    await settle()
    expect([...running.keys()]).toEqual(['n1'])
    expect(singletons.map((singleton) => singleton.state)).toEqual(['running', 'waiting', 'waiting'])
    let last = Number(running.get('n1')?.token)
    for (const next of [1, 2, 0, 1]) {
      const { token, term } = cluster.lead(next)
      await settle()
      expect([...running.keys()]).toEqual([`n${next + 1}`])
      expect(running.get(`n${next + 1}`)).toMatchObject({ token: String(token), term })
      expect(token).toBeGreaterThan(last)
      last = token
    }
    expect(nodes.map(({ clock }) => clock.timers)).toEqual([0, 0, 0])
    for (const singleton of singletons) await singleton.stop()
    expect(running.size).toBe(0)
    expect(node(1).engine.events.listenerCount('leadership')).toBe(1)
  })

  it('aborts with LEADERSHIP_LOST, and is not to blame for how the run then ends', async () => {
    const { cluster, node } = startTestCluster(2)
    let reason: unknown
    const faults: unknown[] = []
    const singleton = createSingleton(node(0), 's', async (signal) => {
      await untilAborted(signal)
      reason = signal.reason
      signal.throwIfAborted()
    }, { onError: (error) => { faults.push(error) } })
    await settle()
    cluster.lead(1)
    await settle()
    expect(reason).toMatchObject({ code: 'RAFT_LEADERSHIP_LOST' })
    expect(singleton.state).toBe('waiting')
    expect(singleton.lastError).toBeUndefined()
    expect(faults).toEqual([])
    expect(node(0).logger.messages('error')).toEqual([])
  })

  it('never overlaps with its own earlier run, and warns of one that ignores its signal', async () => {
    const { cluster, node } = startTestCluster(2)
    const ends: Array<() => void> = []
    let active = 0
    let most = 0
    const singleton = createSingleton(node(0), 's', async () => {
      most = Math.max(most, ++active)
      await new Promise<void>((resolve) => { ends.push(resolve) })
      active--
    })
    await settle()
    cluster.lead(1)
    await settle()
    expect(singleton.state).toBe('stopping')
    cluster.lead(0)
    cluster.lead(1)
    cluster.lead(0)
    await settle()
    expect(ends).toHaveLength(1)
    expect(node(0).logger.messages('warn').length).toBeGreaterThan(0)
    ends[0]?.()
    await settle()
    expect(ends).toHaveLength(2)
    expect(singleton.state).toBe('running')
    expect(most).toBe(1)
  })

  it('that returned runs again only at the next leadership', async () => {
    const { cluster, node, advance } = startTestCluster(2)
    let runs = 0
    const singleton = createSingleton(node(0), 's', () => { runs++ })
    await settle()
    expect(singleton.state).toBe('finished')
    await advance(60_000)
    expect(runs).toBe(1)
    cluster.lead(1)
    expect(singleton.state).toBe('waiting')
    cluster.lead(0)
    await settle()
    expect(runs).toBe(2)
    expect(singleton.state).toBe('finished')
  })

  it('that throws runs again after 1 s, doubling to 60 s, while it leads', async () => {
    const { node, advance } = startTestCluster()
    const startsMs: number[] = []
    const faults: unknown[] = []
    const singleton = createSingleton(node(0), 's', () => {
      startsMs.push(node(0).clock.monotonicMs())
      throw new Error(`fault ${startsMs.length}`)
    }, { onError: (error) => { faults.push(error) } })
    await settle()
    expect(singleton.state).toBe('backing-off')
    await advance(600_000)
    const pausesMs = startsMs.slice(1).map((startMs, at) => startMs - (startsMs[at] ?? 0))
    for (const [at, pauseMs] of pausesMs.entries()) {
      const fullMs = Math.min(1_000 * 2 ** at, 60_000)
      expect(pauseMs).toBeGreaterThanOrEqual(fullMs / 2)
      expect(pauseMs).toBeLessThanOrEqual(fullMs)
    }
    expect(pausesMs.length).toBeGreaterThan(9)
    expect(faults).toHaveLength(startsMs.length)
    expect(singleton.lastError).toBe(faults.at(-1))
    expect(node(0).logger.messages('error')).toHaveLength(startsMs.length)
  })

  it('starts its doubling anew after a run that held out', async () => {
    const { node, advance } = startTestCluster()
    const startsMs: number[] = []
    let endMs = 0
    createSingleton(node(0), 's', async () => {
      startsMs.push(node(0).clock.monotonicMs())
      if (startsMs.length === 6) {
        await new Promise<void>((resolve) => { node(0).clock.after(70_000, resolve) })
        endMs = node(0).clock.monotonicMs()
      }
      throw new Error('fault')
    })
    await advance(150_000)
    expect(startsMs[6]).toBeGreaterThan(endMs)
    expect(startsMs[6]).toBeLessThanOrEqual(endMs + 1_000)
  })

  it('ends its backoff with the leadership', async () => {
    const { cluster, node, advance } = startTestCluster(2)
    let runs = 0
    const singleton = createSingleton(node(0), 's', async () => { runs++; throw new Error('fault') })
    await settle()
    cluster.lead(1)
    await advance(60_000)
    expect(runs).toBe(1)
    expect(singleton.state).toBe('waiting')
    expect(node(0).clock.timers).toBe(0)
  })

  it('survives an onError that throws', async () => {
    const { node, advance } = startTestCluster()
    let runs = 0
    const singleton = createSingleton(
      node(0),
      's',
      () => {
        runs++
        throw new Error('fault')
      },
      {
        onError: () => {
          throw new Error('worse')
        }
      }
    )
    await advance(30_000)
    expect(runs).toBeGreaterThan(3)
    await singleton.stop()
  })

  it('stop aborts, waits for the run, and frees the name', async () => {
    const { cluster, node, advance } = startTestCluster(2)
    let ended = false
    let reason: unknown
    let runs = 0
    const singleton = createSingleton(node(0), 's', async (signal) => {
      runs++
      await untilAborted(signal)
      reason = signal.reason
      await settle()
      ended = true
    })
    await settle()
    expect(() => createSingleton(node(0), 's', () => {})).toThrow(
      expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' })
    )
    expect(() => createSingleton(node(0), '', () => {})).toThrow(
      expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' })
    )
    const stopping = singleton.stop()
    expect(singleton.state).toBe('stopping')
    await stopping
    expect(ended).toBe(true)
    expect(reason).toMatchObject({ code: 'RAFT_STOPPED' })
    expect(singleton.state).toBe('stopped')
    cluster.lead(1)
    cluster.lead(0)
    await advance(1_000)
    expect(runs).toBe(1)
    await singleton.stop()
    await createSingleton(node(0), 's', () => {}).stop()
    createSingleton(node(1), 's', () => {})
  })

  it('stopped while it backs off starts no more', async () => {
    const { node, advance } = startTestCluster()
    let runs = 0
    {
      await using singleton = createSingleton(node(0), 's', () => { runs++; throw new Error('fault') })
      await settle()
      expect(singleton.state).toBe('backing-off')
    }
    await advance(60_000)
    expect(runs).toBe(1)
    expect(node(0).clock.timers).toBe(0)
  })

  it('stopped on the leader before it could start never runs', async () => {
    const { node } = startTestCluster()
    let runs = 0
    const singleton = createSingleton(node(0), 's', () => { runs++ })
    await singleton.stop()
    await settle()
    expect(runs).toBe(0)
  })

  it('stopped before its first leadership never runs', async () => {
    const { cluster, node } = startTestCluster(2)
    let runs = 0
    const singleton = createSingleton(node(1), 's', () => { runs++ })
    await singleton.stop()
    cluster.lead(1)
    await settle()
    expect(runs).toBe(0)
  })

  it('goes on over a lapse, and runs again under the same token when it checked in it', async () => {
    const { node, advance } = startTestCluster()
    const { engine } = node(0)
    const held = engine.currentLeadership()
    const faults: unknown[] = []
    const grants: LeadershipGrant[] = []
    let wake = (): void => {}
    createSingleton(node(0), 's', async (signal, grant) => {
      grants.push(grant)
      await new Promise<void>((resolve) => { wake = resolve })
      grant.check()
      await untilAborted(signal)
    }, { onError: (error) => { faults.push(error) } })
    await settle()
    engine.currentLeadership = () => null
    await settle()
    expect(grants.map(({ signal }) => signal.aborted)).toEqual([false])
    wake()
    await settle()
    engine.currentLeadership = () => held
    await advance(1_000)
    expect(grants.map(({ token }) => token)).toEqual(['1', '1'])
    wake()
    await advance(60_000)
    expect(grants).toHaveLength(2)
    expect(faults).toEqual([])
  })

  it('serves the same leadership again when its lease lapsed and came back', async () => {
    const { node } = startTestCluster()
    const { engine } = node(0)
    let runs = 0
    createSingleton(node(0), 's', async (signal) => { runs++; await untilAborted(signal) })
    await settle()
    const leadership = engine.currentLeadership()
    engine.setLeadership(null, null)
    engine.setLeadership(leadership, null)
    await settle()
    expect(runs).toBe(2)
  })
})
