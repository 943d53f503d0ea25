import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Coordinator } from '../../../src/plugin/cluster/coordinator.ts'
import { ClusterStateMachine } from '../../../src/plugin/replicated/cluster-state-machine.ts'
import type { Logger } from '../../../src/raft/index.ts'
import { systemClock } from '../../../src/raft/internal.ts'
import { FakeEngine } from '../../support/fake-engine.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

const members = ['n1', 'n2'].map((id, index) => ({ id, url: `http://127.0.0.1:${4001 + index}` }))

function build (given: { readonly url?: string } = {}) {
  const machine = new ClusterStateMachine()
  const engine = new FakeEngine(machine, 'n1', given.url === undefined ? members : [{ id: 'n1', url: given.url }])
  const errors: object[] = []
  const silent = (): void => {}
  const logger: Logger = { debug: silent, info: silent, warn: silent, error: (details) => { errors.push(details) } }
  const origin: { current: string | null } = { current: null }
  const cluster = new Coordinator({
    nodeId: 'n1',
    clusterId: 'test',
    context: { engine, machine, clock: systemClock, logger, defaultTimeoutMs: 1_000 },
    control: engine,
    ownOrigin: () => origin.current,
    ownUrl: given.url ?? '',
    memberReach: { anywhere: false, onlyHttps: false },
    joiner: null,
    auditLogger: new MemoryLogger(),
    hasStarted: () => true,
    leave: () => Promise.reject(new Error('only a node of an application can leave')),
    handOverAfterMs: 1_000,
    drain: () => Promise.resolve()
  })
  return { engine, cluster, errors, origin }
}

function settled (): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve) })
}

describe('the status of a node', () => {
  it('follows the engine', () => {
    const { engine, cluster } = build()
    expect(cluster).toMatchObject({
      nodeId: 'n1',
      clusterId: 'test',
      isLeader: false,
      leader: null,
      leaderEndpoint: null,
      term: 0
    })
    engine.lead()
    expect(cluster).toMatchObject({
      isLeader: true,
      leader: { id: 'n1', url: 'http://127.0.0.1:4001', term: 1 },
      leaderEndpoint: 'http://127.0.0.1:4001',
      term: 1
    })
    engine.lose('n2')
    expect(cluster).toMatchObject({
      isLeader: false,
      leader: { id: 'n2', url: 'http://127.0.0.1:4002', term: 2 },
      leaderEndpoint: 'http://127.0.0.1:4002',
      term: 2
    })
  })

  it('does not lead from the moment the lease lapsed, although no event has fired', () => {
    const { engine, cluster } = build()
    engine.lead()
    engine.lapseSilently()
    expect(cluster.isLeader).toBe(false)
    expect(cluster.status.isLeader).toBe(false)
  })

  it('has the URL that it listens on when it is a sole voter and was given no URL', () => {
    const { engine, cluster, origin } = build({ url: '' })
    engine.lead()
    expect(cluster.leaderEndpoint).toBeNull()
    origin.current = 'http://127.0.0.1:3000'
    expect(cluster.leaderEndpoint).toBe('http://127.0.0.1:3000')
    expect(cluster.status.leader).toEqual({ id: 'n1', url: 'http://127.0.0.1:3000', term: 1 })
  })

  it('is plain JSON in its status', () => {
    const { engine, cluster } = build()
    engine.lead()
    const status = cluster.status
    expect(JSON.parse(JSON.stringify(status))).toEqual(status)
    expect(status).toMatchObject({
      nodeId: 'n1',
      role: 'leader',
      failure: null,
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string
    })
  })
})

describe('waiting', () => {
  it('for leadership resolves at once on the leader, with a grant that ends with the leadership', async () => {
    const { engine, cluster } = build()
    const { token } = engine.lead()
    const grant = await cluster.waitForLeadership(0)
    expect(grant.token).toBe(String(token))
    grant.check()
    engine.lose('n2')
    expect(grant.signal.aborted).toBe(true)
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LEADERSHIP_LOST' }) as Error)
  })

  it('for leadership resolves when it comes', async () => {
    const { engine, cluster } = build()
    const waiting = cluster.waitForLeadership({ timeoutMs: 10_000 })
    engine.lose('n2')
    await settled()
    const { token } = engine.lead()
    expect((await waiting).token).toBe(String(token))
  })

  it('for a leader resolves with the current leader', async () => {
    const { engine, cluster } = build()
    const waiting = cluster.waitForLeader(Infinity)
    engine.lose('n2')
    expect(await waiting).toEqual({ id: 'n2', url: 'http://127.0.0.1:4002', term: 1 })
  })

  it('ends with RAFT_TIMEOUT', async () => {
    const { cluster } = build()
    await expect(cluster.waitForLeadership(5)).rejects.toMatchObject({ code: 'RAFT_TIMEOUT' })
    await expect(cluster.waitForLeader({ timeoutMs: 5 })).rejects.toMatchObject({ code: 'RAFT_TIMEOUT' })
  })

  it('ends with the reason of the signal, before and during the wait', async () => {
    const { engine, cluster } = build()
    const reason = new Error('enough')
    await expect(cluster.waitForLeader({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const waiting = cluster.waitForLeadership({ signal: controller.signal })
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    expect(engine.events.listenerCount('failed')).toBe(0)
  })

  it('ends when the node fails or closes', async () => {
    const { engine, cluster } = build()
    const failing = cluster.waitForLeader()
    engine.events.emit('failed', new Error('the disk is gone'))
    await expect(failing).rejects.toMatchObject({
      code: 'RAFT_STOPPED',
      message: expect.stringContaining('the disk is gone') as string
    })
    const closing = cluster.waitForLeadership()
    cluster.close()
    await expect(closing).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await expect(cluster.waitForLeader()).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
  })

  it.each([-1, NaN])('refuses %s as a time', async (timeoutMs) => {
    await expect(build().cluster.waitForLeader(timeoutMs)).rejects.toBeInstanceOf(TypeError)
  })
})

describe('executeIfLeader', () => {
  it('runs the work on the leader and gives its value and token', async () => {
    const { engine, cluster } = build()
    const { token } = engine.lead()
    const result = await cluster.executeIfLeader(async (signal, grant) => {
      expect(signal).toBe(grant.signal)
      expect(signal.aborted).toBe(false)
      grant.check()
      return 42
    })
    expect(result).toEqual({ status: 'completed', value: 42, token: String(token) })
  })

  it('does not run the work on a follower, and names the leader', async () => {
    const { engine, cluster } = build()
    engine.lose('n2')
    let ran = false
    expect(
      await cluster.executeIfLeader(() => {
        ran = true
      })
    ).toEqual({ status: 'not-leader', leader: { id: 'n2', url: 'http://127.0.0.1:4002', term: 1 } })
    expect(ran).toBe(false)
  })

  it('aborts the signal on loss and reports lost', async () => {
    const { engine, cluster } = build()
    const { token } = engine.lead()
    const result = await cluster.executeIfLeader(async (signal) => {
      const aborted = once(signal, 'abort')
      engine.lose('n2')
      await aborted
      signal.throwIfAborted()
    })
    expect(result).toEqual({
      status: 'lost',
      token: String(token),
      leader: { id: 'n2', url: 'http://127.0.0.1:4002', term: 2 }
    })
  })

  it('reports lost when the work outlived the leadership, also when it succeeded', async () => {
    const { engine, cluster } = build()
    engine.lead()
    expect(await cluster.executeIfLeader(() => { engine.lose(); return 'done' })).toMatchObject({ status: 'lost' })
  })

  it('reports lost behind a blocked event loop, where no event has fired', async () => {
    const { engine, cluster } = build()
    engine.lead()
    expect(
      await cluster.executeIfLeader(() => {
        engine.lapseSilently()
        return 'done'
      })
    ).toMatchObject({ status: 'lost' })
    engine.lead()
    expect(
      await cluster.executeIfLeader((_signal, grant) => {
        engine.lapseSilently()
        grant.check()
      })
    ).toMatchObject({ status: 'lost' })
  })

  it('reports lost when leadership was lost and won again meanwhile', async () => {
    const { engine, cluster } = build()
    const { token } = engine.lead()
    expect(
      await cluster.executeIfLeader(() => {
        engine.lose('n2')
        engine.lead()
        return 'done'
      })
    ).toMatchObject({ status: 'lost', token: String(token), leader: { id: 'n1' } })
  })

  it('treats the abort error of Node\'s own functions as the loss', async () => {
    const { engine, cluster } = build()
    engine.lead()
    const result = await cluster.executeIfLeader(async (signal) => {
      const slept = delay(60_000, undefined, { signal })
      engine.lose()
      await slept
    })
    expect(result).toMatchObject({ status: 'lost' })
  })

  it('throws the error of the work itself, with or without leadership', async () => {
    const { engine, cluster } = build()
    const own = new Error('no such order')
    engine.lead()
    await expect(cluster.executeIfLeader(() => { throw own })).rejects.toBe(own)
    await expect(cluster.executeIfLeader(async () => { engine.lose(); throw own })).rejects.toBe(own)
  })
})

describe('events', () => {
  it('report each change until the listener is removed', async () => {
    const { engine, cluster } = build()
    const seen: unknown[] = []
    const listener = (change: unknown): void => { seen.push(change) }
    cluster.on('leadershipChanged', listener).on('leaderChanged', listener)
    engine.lead()
    engine.lose('n2')
    await settled()
    expect(seen).toEqual([
      { id: 'n1', url: 'http://127.0.0.1:4001', term: 1 },
      { isLeader: true, token: '1', term: 1 },
      { id: 'n2', url: 'http://127.0.0.1:4002', term: 2 },
      { isLeader: false, token: null, term: 2 }
    ])
    cluster.off('leadershipChanged', listener).off('leaderChanged', listener)
    engine.lead()
    await settled()
    expect(seen).toHaveLength(4)
  })

  it('reach a once listener once', async () => {
    const { engine, cluster } = build()
    let times = 0
    cluster.once('leadershipChanged', () => { times++ })
    engine.lead()
    engine.lose()
    engine.lead()
    await settled()
    expect(times).toBe(1)
  })

  it('reach all listeners although one throws or rejects', async () => {
    const { engine, cluster, errors } = build()
    const thrown = new Error('listener')
    let reached = 0
    cluster.on('leaderChanged', () => { throw thrown })
    // eslint-disable-next-line @typescript-eslint/no-misused-promises
    cluster.on('leaderChanged', async () => { throw thrown })
    cluster.on('leaderChanged', () => { reached++ })
    engine.lead()
    await settled()
    expect(reached).toBe(1)
    expect(errors).toEqual([{ err: thrown, event: 'leaderChanged' }, { err: thrown, event: 'leaderChanged' }])
    expect(cluster.isLeader).toBe(true)
  })
})

describe('leadership()', () => {
  it('gives the role now and each flip, until the node closes', async () => {
    const { engine, cluster } = build()
    const roles = cluster.leadership()
    expect((await roles.next()).value).toEqual({ isLeader: false, token: null, term: 0 })
    const next = roles.next()
    await settled()
    engine.lead()
    expect((await next).value).toEqual({ isLeader: true, token: '1', term: 1 })
    const last = roles.next()
    await settled()
    cluster.close()
    expect(await last).toEqual({ done: true, value: undefined })
  })

  it('gives a slow reader the latest role', async () => {
    const { engine, cluster } = build()
    const roles = cluster.leadership()
    await roles.next()
    engine.lead()
    engine.lose()
    engine.lead()
    await settled()
    expect((await roles.next()).value).toEqual({ isLeader: true, token: '2', term: 2 })
    await roles.return?.()
  })

  it('ends with the reason of its signal', async () => {
    const { cluster } = build()
    const controller = new AbortController()
    const roles = cluster.leadership({ signal: controller.signal })
    await roles.next()
    const next = roles.next()
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(next).rejects.toBe(reason)
  })
})

describe('close', () => {
  it('stops the singletons of the node', async () => {
    const { engine, cluster } = build()
    engine.lead()
    let ended = false
    const singleton = cluster.singleton('work', async (signal) => {
      if (!signal.aborted) await once(signal, 'abort')
      ended = true
    })
    await until('it runs', () => singleton.state === 'running')
    cluster.close()
    expect(singleton.state).toBe('stopping')
    await cluster.stopLeading().ended
    expect(ended).toBe(true)
    expect(singleton.state).toBe('stopped')
  })
})
