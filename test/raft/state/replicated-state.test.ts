import { describe, expect, it, vi } from 'vitest'
import type { Entry } from '../../../src/raft/core/index.ts'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import type { CommandEnvelope } from '../../../src/raft/state/command-envelope.ts'
import { decodeEnvelope, encodeEnvelope } from '../../../src/raft/state/command-envelope.ts'
import { ReplicatedState } from '../../../src/raft/state/replicated-state.ts'
import { encodeSections } from '../../../src/raft/state/sections.ts'
import { StateHashes } from '../../../src/raft/state/state-hashes.ts'
import { bytesOf, streamOf } from '../../support/byte-streams.ts'
import { JournalMachine, quietLogger } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

function entry (index: number, command: CommandEnvelope | null, timeMs = 1_000): Entry {
  return {
    kind: command === null ? 'noop' : 'command',
    index: asIndex(index),
    term: asTerm(1),
    timeMs,
    data: command === null ? new Uint8Array() : encodeEnvelope(command)
  }
}

function open (index: number) {
  return entry(index, { kind: 'open', nonce: new Uint8Array(16), ttlMs: 60_000 })
}
function command (index: number, session: number, sequence: number, text = `c${sequence}`) {
  return entry(index, { kind: 'command', session, sequence, lowestOpen: 1, payload: Buffer.from(text) })
}

function setUp (hashes: StateHashes | null = null) {
  const machine = new JournalMachine()
  const seen: string[] = []
  const state = new ReplicatedState(machine, {
    sessionOpened: (id) => { seen.push(`opened ${id}`) },
    applied: (session, sequence, answer) => { seen.push(`${session}.${sequence} ${JSON.stringify(answer)}`) },
    answerGone: (session, sequence) => { seen.push(`gone ${session}.${sequence}`) },
    sessionUnknown: (session) => { seen.push(`unknown ${session}`) },
    restored: (sessions) => { seen.push(`restored ${sessions.outcomeOf(2, 1).kind}`) }
  }, hashes)
  return { state, machine, seen }
}

describe('the replicated state', () => {
  it('D21, A24: a command that a snapshot covers is not applied again, and gets the answer of its first application', async () => {
    const old = setUp()
    for (const applied of [entry(1, null), open(2), command(3, 2, 1)]) old.state.apply(applied)
    const next = setUp()
    await next.state.restore(old.state.snapshot())
    next.state.apply(command(4, 2, 1))
    next.state.apply(command(5, 2, 2))
    expect(next.machine.journal).toEqual(['c1', 'c2'])
    expect(next.seen).toEqual(['restored applied', '2.1 {"text":"c1","index":3}', '2.2 {"text":"c2","index":5}'])
    old.state.apply(command(4, 2, 1))
    old.state.apply(command(5, 2, 2))
    expect(await bytesOf(next.state.snapshot())).toEqual(await bytesOf(old.state.snapshot()))
  })

  it('a command of a session that has ended is never applied', () => {
    const { state, seen, machine } = setUp()
    state.apply(open(1))
    state.apply(
      entry(2, { kind: 'command', session: 1, sequence: 1, lowestOpen: 1, payload: Buffer.from('late') }, 61_001)
    )
    state.apply(
      entry(3, { kind: 'command', session: 1, sequence: 1, lowestOpen: 1, payload: Buffer.from('late') }, 61_002)
    )
    expect(seen).toEqual(['opened 1', 'unknown 1', 'unknown 1'])
    expect(machine.journal).toEqual([])
  })

  it('is restored as a whole or not at all', async () => {
    const old = setUp()
    for (const applied of [open(1), command(2, 1, 1)]) old.state.apply(applied)
    const bytes = await bytesOf(old.state.snapshot())
    const next = setUp()
    next.state.apply(open(1))
    const before = await bytesOf(next.state.snapshot())
    for (let length = 0; length < bytes.byteLength; length++) {
      await expect(next.state.restore(streamOf(bytes.subarray(0, length), 10))).rejects.toMatchObject({
        code: 'RAFT_SNAPSHOT_CORRUPT'
      })
    }
    expect(await bytesOf(next.state.snapshot())).toEqual(before)
    expect(next.seen).toEqual(['opened 1'])
  })

  it('refuses sections that are missing, in the wrong order, unknown or of a later version', async () => {
    const { state } = setUp()
    const sections = {
      sessions: { name: 'sessions', version: 1, records: [] },
      time: { name: 'time', version: 1, records: [Buffer.from('[0,0]')] },
      machine: { name: 'machine', version: 1, records: [Buffer.from('{"journal":[],"tokens":[]}')] }
    }
    const restore = async (...given: Parameters<typeof encodeSections>[0]) => {
      await state.restore(encodeSections(given))
    }
    const { sessions, time, machine } = sections
    await restore(sessions, time, machine)
    await expect(restore(sessions)).rejects.toMatchObject({ code: 'RAFT_SNAPSHOT_CORRUPT' })
    await expect(restore(sessions, machine)).rejects.toMatchObject({ code: 'RAFT_SNAPSHOT_CORRUPT' })
    await expect(restore(machine, sessions, time)).rejects.toMatchObject({ code: 'RAFT_SNAPSHOT_CORRUPT' })
    await expect(restore(sessions, time, { name: 'more', version: 1, records: [] }, machine)).rejects.toMatchObject({
      code: 'RAFT_SNAPSHOT_VERSION'
    })
    await expect(restore({ ...sessions, version: 2 }, time, machine)).rejects.toMatchObject({
      code: 'RAFT_SNAPSHOT_VERSION'
    })
  })
})

describe('the time of day', () => {
  const clock = (index: number, wallMs: number, timeMs: number) => entry(index, { kind: 'clock', wallMs }, timeMs)
  const add = (index: number, timeMs: number) =>
    entry(index, { kind: 'command', session: 1, sequence: index, lowestOpen: 1, payload: Buffer.from('c') }, timeMs)

  /** Applies entries and gives log time and time of day of each command. */
  const timesOf = (state: ReplicatedState, machine: JournalMachine, entries: readonly Entry[]) => {
    const applying = vi.spyOn(machine, 'apply')
    for (const applied of entries) state.apply(applied)
    const times = applying.mock.calls.map(([, { timeMs, timeOfDayMs }]) => [timeMs, timeOfDayMs])
    applying.mockRestore()
    return times
  }

  it('is log time until a leader notes its clock, and then goes on from there', () => {
    const { state, machine } = setUp()
    expect(timesOf(state, machine, [open(1), add(2, 1_000), clock(3, 9_000, 1_500), add(4, 1_600), add(5, 2_500)]))
      .toEqual([[1_000, 1_000], [1_600, 9_100], [2_500, 10_000]])
  })

  it('waits and never falls where a clock is set back', () => {
    const { state, machine } = setUp()
    const entries = [open(1), clock(2, 9_000, 1_000), add(3, 1_000), clock(4, 5_000, 2_000)]
    expect(timesOf(state, machine, [...entries, add(5, 2_000), add(6, 7_000)]))
      .toEqual([[1_000, 9_000], [2_000, 9_000], [7_000, 10_000]])
  })

  it('is the same after a restore', async () => {
    const old = setUp()
    const entries = [open(1), clock(2, 9_000, 1_000), add(3, 1_000), clock(4, 5_000, 2_000)]
    for (const applied of entries) old.state.apply(applied)
    const next = setUp()
    await next.state.restore(old.state.snapshot())
    const later = [add(5, 2_000), add(6, 7_000)]
    expect(timesOf(next.state, next.machine, later)).toEqual(timesOf(old.state, old.machine, later))
  })

  it.each(['[1]', '[1,2,3]', '["1",2]', '{}', 'x'])('is refused as %s in a snapshot', async (record) => {
    const sections = [
      { name: 'sessions', version: 1, records: [] },
      { name: 'time', version: 1, records: [Buffer.from(record)] },
      { name: 'machine', version: 1, records: [Buffer.from('{"journal":[],"tokens":[]}')] }
    ]
    await expect(setUp().state.restore(encodeSections(sections))).rejects.toMatchObject({ code: 'RAFT_SNAPSHOT_CORRUPT' })
  })
})

describe('hashes of the state', () => {
  const withHashes = () => {
    const computed: Array<{ readonly index: number, readonly hash: Uint8Array }> = []
    const hashes = new StateHashes({
      everyEntries: 4,
      log: {
        propose: ([command = new Uint8Array()]) => {
          const checkpoint = decodeEnvelope(command)
          if (checkpoint.kind === 'checkpoint') computed.push({ index: checkpoint.index, hash: checkpoint.hash })
        }
      },
      logger: quietLogger
    })
    return { ...setUp(hashes), computed }
  }
  const checkpoint = (at: number, { index, hash }: { readonly index: number; readonly hash: Uint8Array }) =>
    entry(at, { kind: 'checkpoint', index, hash })

  it('are equal where the same entries were applied, also after a restore', async () => {
    const nodes = [withHashes(), withHashes()] as const
    for (const { state } of nodes) {
      for (const applied of [entry(1, null), open(2), command(3, 2, 1), command(4, 2, 2)]) state.apply(applied)
    }
    const [first, second] = await Promise.all(nodes.map(({ computed }) => until('the hash', () => computed[0])))
    expect(first).toEqual(second)
    const restored = withHashes()
    await restored.state.restore(nodes[0].state.snapshot())
    for (const { state } of [...nodes, restored]) {
      for (let index = 5; index <= 8; index++) {
        state.apply(index === 5 ? checkpoint(5, first as NonNullable<typeof first>) : command(index, 2, index))
      }
    }
    await until('the next hashes', () => nodes[0].computed[1] !== undefined && restored.computed[0] !== undefined)
    expect(restored.computed[0]).toEqual(nodes[0].computed[1])
    expect(() => nodes[1].state.apply(command(9, 2, 9))).not.toThrow()
  })

  it.each(['before', 'after'])(
    "stop a node whose state is not the leader's, with the index, the leader's hash coming %s its own",
    async (order) => {
      const leader = withHashes()
      const other = withHashes()
      for (const index of [1, 2, 3, 4]) {
        leader.state.apply(index === 1 ? open(1) : command(index, 1, index))
        if (index === 4) other.machine.journal.push('out of nowhere')
        other.state.apply(index === 1 ? open(1) : command(index, 1, index))
      }
      const theirs = await until('the hash', () => leader.computed[0])
      if (order === 'after') await until('its own', () => other.computed[0])
      other.state.apply(checkpoint(5, theirs))
      await until('its own', () => other.computed[0])
      expect(() => {
        other.state.apply(command(6, 1, 6))
      }).toThrow(
        expect.objectContaining({
          code: 'RAFT_STATE_DIVERGED',
          message: expect.stringContaining('index 4') as string
        }) as Error
      )
      expect(() => {
        leader.state.apply(checkpoint(5, theirs))
      }).not.toThrow()
    }
  )
})
