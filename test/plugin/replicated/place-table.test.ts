import { describe, expect, it } from 'vitest'
import { encodeCommand } from '../../../src/plugin/replicated/command.ts'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import type { Candidate } from '../../../src/plugin/replicated/placement.ts'
import { placeWorkers } from '../../../src/plugin/replicated/placement.ts'
import { seededRandom, TestMachine } from './support/apply.ts'

/** A machine with as many open sessions: their ids, from that of node n1 on. */
function withSessions (count: number) {
  const test = new TestMachine()
  test.lead()
  const sessions = Array.from({ length: count }, (_, at) => {
    test.apply({ kind: 'session-open', owner: `n${at + 1}`, requestId: `r${at}`, ttlMs: 10_000 })
    return test.index
  })
  const join = (at: number, { name = 't', workers = 1 } = {}) =>
    test.apply({ kind: 'place-join', name, node: `n${at + 1}`, session: sessions[at] ?? 0, workers })
  const leave = (at: number) => test.apply({ kind: 'place-leave', name: 't', session: sessions[at] ?? 0 })
  const places = (workers = 1) =>
    Array.from({ length: workers }, (_, worker) => sessions.indexOf(test.machine.places.sessionOf('t', worker)))
  return { test, sessions, join, leave, places }
}

function candidatesOf (nodes: readonly number[], workers: number): readonly Candidate[] {
  return nodes.map((node) => ({ session: node + 1, node: `n${node}`, workers }))
}

describe('places of workers', () => {
  it('of one worker change only when its candidate goes or a better one comes', () => {
    const random = seededRandom(1)
    for (let count = 0; count < 300; count++) {
      const name = `task ${random(1e6)}`
      const [all, some] = [[0, 1, 2, 3, 4], [0, 1, 2, 3]]
      const [place = 0] = placeWorkers(name, candidatesOf(all, 1), [])
      const [before = 0] = placeWorkers(name, candidatesOf(some, 1), [])
      if (place !== 5) expect(before).toBe(place)
      // The order in which they came plays no part.
      expect(placeWorkers(name, candidatesOf(all.toReversed(), 1), [])).toEqual([place])
    }
  })

  it('of one worker are even over many tasks', () => {
    const loads = [0, 0, 0]
    for (let task = 0; task < 3_000; task++) {
      const [place = 0] = placeWorkers(`task-${task}`, candidatesOf([0, 1, 2], 1), [])
      loads[place - 1] = (loads[place - 1] ?? 0) + 1
    }
    for (const load of loads) expect(Math.abs(load - 1_000)).toBeLessThan(100)
  })

  it.each([1, 2, 3, 4])('of many are even through any changes, and move no more than that needs (seed %i)', (seed) => {
    const random = seededRandom(seed)
    const workers = 2 + random(20)
    let nodes = [0, 1, 2]
    let before: readonly number[] = []
    for (let change = 0; change < 100; change++) {
      const node = random(7)
      nodes = nodes.includes(node) ? nodes.filter((other) => other !== node) : [...nodes, node]
      if (nodes.length === 0) nodes = [node]
      const places = placeWorkers('w', candidatesOf(nodes, workers), before)
      const loads = nodes.map((other) => places.filter((place) => place === other + 1).length)
      expect(loads.reduce((sum, load) => sum + load, 0)).toBe(workers)
      expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1)
      const share = Math.ceil(workers / nodes.length)
      const moved = places.filter((place, worker) => place !== before[worker] && before[worker] !== undefined).length
      const lost = before.filter((place) => !nodes.includes(place - 1)).length
      expect(moved).toBeLessThanOrEqual(lost + share)
      before = places
    }
  })

  it('of a worker that only some have are on those', () => {
    const mixed = [...candidatesOf([0, 1], 1), ...candidatesOf([2], 4)]
    const places = placeWorkers('w', mixed, [])
    expect(places).toHaveLength(4)
    expect(places.slice(1)).toEqual([3, 3, 3])
  })
})

describe('the table of places', () => {
  it('follows who joins and leaves, and forgets a task that nobody can run', () => {
    const { test, join, leave, places } = withSessions(2)
    expect(join(0)).toEqual({ kind: 'task-placed', name: 't' })
    expect(places()).toEqual([0])
    join(1)
    join(1)
    expect([...test.machine.places.all()].map(({ candidates }) => candidates.length)).toEqual([2])
    leave(places()[0] ?? 0)
    expect(places()).not.toEqual([-1])
    leave(0)
    leave(1)
    expect(test.machine.places.size).toBe(0)
  })

  it('takes the places of a session that is over at the same entry', () => {
    const { test, sessions, join, places } = withSessions(2)
    join(0, { workers: 4 })
    join(1, { workers: 4 })
    test.apply({ kind: 'session-end', session: sessions[0] ?? 0 })
    expect(places(4)).toEqual([1, 1, 1, 1])
    expect(join(0)).toEqual({ kind: 'stale', name: 't' })
  })

  it('lets a run start where its place is, with a token that fences until the next one has started', () => {
    const { test, sessions, join, places } = withSessions(2)
    join(0)
    join(1)
    const [at = 0] = places()
    const start = (by: number, more = {}) => test.apply({
      kind: 'task-start', name: 't', node: `n${by + 1}`, run: `r${by}`, session: sessions[by] ?? 0, ...more
    })
    expect(start(1 - at)).toEqual({ kind: 'fenced', token: sessions[1 - at] })
    expect(start(at)).toMatchObject({ kind: 'task-started' })
    const token = test.index
    expect(test.machine.fences.allows(token)).toBe(true)
    test.apply({ kind: 'place-leave', name: 't', session: sessions[at] ?? 0 })
    expect(start(1 - at)).toMatchObject({ kind: 'task-held', token })
    expect(test.machine.fences.allows(token)).toBe(true)
    test.apply({ kind: 'task-stop', name: 't', run: `r${at}` })
    expect(test.machine.fences.allows(token)).toBe(false)
    expect(start(1 - at)).toMatchObject({ kind: 'task-started' })
    expect(test.machine.fences.allows(test.index)).toBe(true)
  })

  it('lets nothing start under neither a leadership nor a session', () => {
    const { test } = withSessions(0)
    expect(test.apply({ kind: 'task-start', name: 't', node: 'n1', run: 'r' })).toEqual({ kind: 'fenced', token: 0 })
  })

  it('tells who listens for a task, also of a snapshot', async () => {
    const { test, join } = withSessions(2)
    let changes = 0
    test.machine.onPlaceChange('t', () => { changes++ })
    join(0)
    join(0, { name: 'other' })
    expect(changes).toBe(1)
    const other = withSessions(2)
    other.join(0, { workers: 2 })
    for (let count = 0; count < 4; count++) other.test.set('k', count)
    await test.machine.restore(other.test.machine.snapshot())
    expect(changes).toBe(2)
    expect(test.machine.places.sessionOf('t', 1)).toBe(other.sessions[0])
  })

  it('holds so many tasks, and so many processes for each', () => {
    const { test, sessions, join } = withSessions(limits.maxCandidates + 1)
    for (let at = 0; at < limits.maxCandidates; at++) join(at)
    expect(join(limits.maxCandidates)).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
    expect(join(0)).toMatchObject({ kind: 'task-placed' })
    for (let task = 1; task < limits.maxPlacedTasks; task++) join(0, { name: `t${task}` })
    expect(join(0, { name: 'more' })).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
    expect(test.machine.places.size).toBe(limits.maxPlacedTasks)
    test.apply({ kind: 'session-end', session: sessions[0] ?? 0 })
    expect(test.machine.places.size).toBe(1)
  })

  it('is written from the reserve of space', () => {
    const { machine } = new TestMachine()
    const join = { kind: 'place-join', name: 't', node: 'n1', session: 1, workers: 1 } as const
    expect(machine.reserveUse(encodeCommand(join))).toBe('keeps')
    expect(machine.reserveUse(encodeCommand({ kind: 'place-leave', name: 't', session: 1 }))).toBe('frees')
  })
})
