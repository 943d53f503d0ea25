import { describe, expect, it } from 'vitest'
import type { SessionLimits } from '../../../src/raft/state/session-table.ts'
import { sessionLimits, SessionTable } from '../../../src/raft/state/session-table.ts'

/** A table fed by hand: every call is the next entry of the log. */
function setUp (overrides: Partial<SessionLimits> = {}) {
  const limits = { ...sessionLimits, ...overrides }
  const world = { table: new SessionTable(limits), index: 0, timeMs: 1_000_000 }
  const next = () => ({ index: ++world.index, timeMs: world.timeMs })
  return {
    world,
    limits,
    open: (ttlMs = 60_000): number => {
      world.table.open(ttlMs, next())
      return world.index
    },
    /** Applies a command as a node does; returns its outcome and its answer. */
    send: (id: number, sequence: number, lowestOpen = sequence, answer: unknown = `answer ${sequence}`): string => {
      const outcome = world.table.check(id, sequence, lowestOpen, next())
      if (outcome.kind === 'not-applied') world.table.applied(id, sequence, answer)
      return outcome.kind === 'applied' ? `again: ${JSON.stringify(outcome.answer)}` : outcome.kind
    }
  }
}

async function collect (records: Iterable<Uint8Array>): Promise<Uint8Array[]> {
  return [...records].map((record) => Uint8Array.from(record))
}
const stream = async function * (records: readonly Uint8Array[]) { yield * records }

describe('client sessions', () => {
  it('applies each command of a session once, in any order of arrival', () => {
    const { open, send } = setUp()
    const id = open()
    expect(send(id, 2, 1)).toBe('not-applied')
    expect(send(id, 1, 1)).toBe('not-applied')
    expect(send(id, 2, 1)).toBe('again: "answer 2"')
    expect(send(id, 1, 1)).toBe('again: "answer 1"')
    expect(send(id, 3, 3)).toBe('not-applied')
  })

  it('A24: never applies a late repetition of a command that its client has given up', () => {
    const { open, send } = setUp()
    const id = open()
    expect(send(id, 4, 4)).toBe('not-applied')
    expect(send(id, 3, 1)).toBe('answer-gone')
    expect(send(id, 4, 4)).toBe('again: "answer 4"')
  })

  it('refuses a session that was never opened', () => {
    const { send } = setUp()
    expect(send(1, 1)).toBe('unknown-session')
  })

  it('drops the session unused for longest when there are too many', () => {
    const { open, send, world } = setUp({ maxSessions: 2 })
    const [first, second] = [open(), open()]
    expect(send(first, 1)).toBe('not-applied')
    const third = open()
    expect(send(second, 1)).toBe('unknown-session')
    expect(send(first, 1)).toBe('again: "answer 1"')
    expect(send(third, 1)).toBe('not-applied')
    expect(world.table.size).toBe(2)
  })

  it('D24: a session ends by log time, counted from its last command', () => {
    const { open, send, world } = setUp()
    const id = open(60_000)
    world.timeMs += 60_000
    expect(send(id, 1)).toBe('not-applied')
    world.timeMs += 60_000
    expect(send(id, 1)).toBe('again: "answer 1"')
    world.timeMs += 60_001
    expect(send(id, 1)).toBe('unknown-session')
    expect(send(id, 2)).toBe('unknown-session')
    expect(world.table.size).toBe(0)
    expect(world.table.answerBytes).toBe(0)
  })

  it('keeps the time to live of a session within the limits of the cluster', () => {
    const { open, send, world, limits } = setUp()
    const [short, long] = [open(0), open(2 ** 48)]
    world.timeMs += limits.minTtlMs
    expect(send(short, 1)).toBe('not-applied')
    world.timeMs += limits.maxTtlMs + 1
    expect(send(long, 1)).toBe('unknown-session')
  })

  it('drops sessions that have ended when the next session is opened', () => {
    const { open, world } = setUp()
    for (let count = 0; count < 10; count++) open()
    world.timeMs += 60_001
    open()
    expect(world.table.size).toBe(1)
  })

  it('keeps only answers whose commands may still be repeated', () => {
    const { open, send, world } = setUp()
    const id = open()
    for (let sequence = 1; sequence <= 10_000; sequence++) expect(send(id, sequence)).toBe('not-applied')
    expect(world.table.answers).toBe(1)
    expect(send(id, 9_999, 1)).toBe('answer-gone')
  })

  it('keeps answers within their limit of bytes, and drops those of the session unused for longest first', () => {
    const { open, send, world } = setUp({ maxAnswerBytes: 5_000 })
    const [first, second] = [open(), open()]
    const answer = 'a'.repeat(998)
    for (const sequence of [1, 2]) expect(send(first, sequence, 1, answer)).toBe('not-applied')
    for (const sequence of [1, 2, 3]) expect(send(second, sequence, 1, answer)).toBe('not-applied')
    expect(world.table.answerBytes).toBe(5_000)
    expect(send(second, 4, 1, answer)).toBe('not-applied')
    expect(world.table.answerBytes).toBeLessThanOrEqual(2_500)
    expect(send(first, 1, 1)).toBe('answer-gone')
    expect(send(second, 4, 1)).toBe(`again: "${answer}"`)
  })

  it('keeps no answer that is over the limit for one answer, and still applies its command once', () => {
    const { open, send, world } = setUp({ maxAnswerBytesEach: 100 })
    const id = open()
    expect(send(id, 1, 1, 'a'.repeat(101))).toBe('not-applied')
    expect(send(id, 1, 1)).toBe('answer-gone')
    expect(world.table.answerBytes).toBe(0)
  })

  it('keeps the number of open commands within its limits for any client', () => {
    const { open, send, world } = setUp({ maxWindow: 10, maxAnswers: 12 })
    const [first, second] = [open(), open()]
    expect(send(first, 10, 1)).toBe('not-applied')
    expect(send(first, 11, 1)).toBe('unknown-session')
    const third = open()
    for (let sequence = 1; sequence <= 10; sequence++) send(second, sequence, 1)
    for (let sequence = 1; sequence <= 3; sequence++) send(third, sequence, 1)
    expect(world.table.answers).toBe(3)
    expect(send(second, 1, 1)).toBe('unknown-session')
    // Far ahead, but so is the lowest command that it waits for.
    expect(send(third, 2 ** 47, 2 ** 47)).toBe('not-applied')
    expect(world.table.answers).toBe(1)
  })

  it('D21: goes on from a snapshot as a table that was never restored', async () => {
    const { open, send, world, limits } = setUp({ maxSessions: 3 })
    const ids = [open(), open(), open()]
    for (const [at, id] of ids.entries()) {
      for (let sequence = 1; sequence <= at + 2; sequence++) {
        send(id, sequence, 1, { __proto__: null, sequence, deep: [null, 'ü'] })
      }
    }
    send(ids[0] ?? 0, 9, 1, undefined)
    const captured = world.table.capture()
    const before = JSON.stringify(world.table)
    // Not seen by the snapshot.
    send(ids[1] ?? 0, 50, 50)
    const restored = await SessionTable.read(stream(await collect(captured)), limits)
    expect(JSON.stringify(restored)).toBe(before)
    expect(restored.answers).toBe(10)
    world.table = restored
    expect(send(ids[2] ?? 0, 2, 1)).toBe('again: {"sequence":2,"deep":[null,"ü"]}')
    open()
    expect(send(ids[0] ?? 0, 1, 1)).toContain('again')
    expect(send(ids[1] ?? 0, 1, 1)).toBe('unknown-session')
  })

  it.each([
    ['no JSON', ['{']],
    ['no array', ['{"0":1,"length":5}']],
    ['an answer before any session', ['[1,8,"x"]']],
    ['a number that is no count', ['[1,60000,-1,1,1]']],
    ['a number beyond the safe ones', ['[1,60000,9007199254740992,1,1]']],
    ['a session twice', ['[1,60000,1,1,1]', '[1,60000,1,1,1]']],
    ['more sessions than there may be', ['[1,60000,1,1,1]', '[2,60000,1,1,1]', '[3,60000,1,1,1]']],
    ['an answer twice', ['[1,60000,1,1,1]', '[1,8,"x"]', '[1,8,"x"]']],
    ['an answer further ahead than a client may be', ['[1,60000,1,1,3]', '[262147,8,"x"]']],
    ['an answer nobody waits for', ['[1,60000,1,1,3]', '[2,8,"x"]']],
    ['more fields than there are', ['[1,60000,1,1,1,1]']]
  ])('refuses a snapshot with %s', async (_case, texts) => {
    const records = texts.map((text) => Buffer.from(text))
    await expect(SessionTable.read(stream(records), { ...sessionLimits, maxSessions: 2 })).rejects.toMatchObject({
      code: 'RAFT_SNAPSHOT_CORRUPT'
    })
  })
})
