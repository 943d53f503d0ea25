import { describe, expect, it } from 'vitest'
import { ClusterStateMachine } from '../../../src/plugin/replicated/cluster-state-machine.ts'
import { encodeCommand } from '../../../src/plugin/replicated/command.ts'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import type { AnyMachineDefinition, MachineDefinition } from '../../../src/plugin/replicated/user-machine.ts'
import { bytesOf, streamOf } from '../../support/byte-streams.ts'

interface Ledger { readonly total: number, readonly last: string }
type LedgerCommand = { readonly add: number, readonly note?: string }

const ledger: MachineDefinition<Ledger, LedgerCommand, unknown> = {
  version: 1,
  initial: () => ({ total: 0, last: '' }),
  apply: (state, { add, note = '' }, { index, term, timeMs, version }) => {
    if (add < 0) return { state, answer: { refused: state.total } }
    return {
      state: { total: state.total + add, last: note },
      answer: { total: state.total + add, index, term, timeMs, version }
    }
  }
}

function any <State, Command, Answer> (definition: MachineDefinition<State, Command, Answer>) {
  return definition as AnyMachineDefinition
}

/** A cluster machine with user machines, fed by hand. */
function setUp (
  definitions: Readonly<Record<string, AnyMachineDefinition>> = { ledger: any(ledger) },
  checksStates = false
) {
  const machine = new ClusterStateMachine({ checksStates })
  for (const [name, definition] of Object.entries(definitions)) machine.machines.register(name, definition)
  const world = {
    machine,
    index: 0,
    /** Applies a command, and gives what its proposer would be told. */
    send: (
      command: unknown,
      more: {
        readonly machine?: string
        readonly version?: number
        readonly idempotencyKey?: string
        readonly fence?: number
      } = {}
    ): unknown => {
      const answer = machine.apply(
        encodeCommand({ kind: 'machine', machine: 'ledger', version: 1, command, ...more }),
        { index: ++world.index, term: 3, timeMs: 5_000 }
      )
      return answer.kind === 'machine-answer' ? (JSON.parse(answer.answerJson ?? 'null') as unknown) : answer
    },
    state: (): string => JSON.stringify(machine.machines)
  }
  return world
}

async function restoredInto (world: ReturnType<typeof setUp>, bytes: Uint8Array) {
  await world.machine.restore(streamOf(bytes, 1_000))
  return world
}

describe('user state machines', () => {
  it('apply commands with index, term and log time, and answer', () => {
    const { send, state } = setUp()
    expect(send({ add: 2, note: 'ü' })).toEqual({ total: 2, index: 1, term: 3, timeMs: 5_000, version: 1 })
    expect(send({ add: -1 })).toEqual({ refused: 2 })
    expect(send({ add: 3 })).toMatchObject({ total: 5, index: 3 })
    expect(state()).toBe('[{"name":"ledger","version":1,"state":{"total":5,"last":""}}]')
  })

  it('may answer nothing', () => {
    const { send } = setUp({
      ledger: any({ version: 1, initial: () => null, apply: (state) => ({ state, answer: undefined }) })
    })
    expect(send(null)).toBeNull()
  })

  it('apply a command with an idempotency key once, and tell another command under it apart', () => {
    const { send } = setUp()
    const first = send({ add: 2 }, { idempotencyKey: 'i' })
    expect(send({ add: 2 }, { idempotencyKey: 'i' })).toEqual(first)
    expect(send({ add: 3 }, { idempotencyKey: 'i' })).toMatchObject({ code: 'RAFT_IDEMPOTENCY_CONFLICT' })
    expect(send({ add: 0 })).toMatchObject({ total: 2 })
  })

  it('remember no large answer with an idempotency key, and still apply once', () => {
    let applied = 0
    const { send } = setUp({
      ledger: any({
        version: 1,
        initial: () => 0,
        apply: (state) => ({ state, answer: `${++applied}`.repeat(limits.maxRememberedAnswerLength) })
      })
    })
    expect(send(1, { idempotencyKey: 'i' })).toHaveLength(limits.maxRememberedAnswerLength)
    expect(send(1, { idempotencyKey: 'i' })).toMatchObject({ kind: 'refused', code: 'RAFT_TOO_LARGE' })
    expect(applied).toBe(1)
  })

  it('are fenced', () => {
    const world = setUp()
    world.machine.leadershipStarted({ index: ++world.index, term: 3, timeMs: 0 })
    expect(world.send({ add: 1 }, { fence: 7 })).toEqual({ kind: 'fenced', token: 7 })
    expect(world.send({ add: 1 }, { fence: 1 })).toMatchObject({ total: 1 })
  })

  it.each([
    ['a __proto__ member', '{"add":1,"__proto__":{"polluted":1}}'],
    ['a __proto__ member further down', '{"add":1,"list":[{"\\u005f_proto__":1}]}'],
    ['a constructor with a prototype', '{"add":1,"constructor":{"prototype":{"polluted":1}}}'],
    ['a command that nests too deep', `${'['.repeat(limits.maxValueDepth + 1)}${']'.repeat(limits.maxValueDepth + 1)}`]
  ])('are never given %s', (_case, json) => {
    const { machine, state } = setUp()
    const bytes = Buffer.from(`{"kind":"machine","machine":"ledger","version":1,"command":${json}}`)
    expect(machine.apply(bytes, { index: 1, term: 1, timeMs: 1 })).toMatchObject({
      kind: 'refused',
      code: 'RAFT_MALFORMED_COMMAND'
    })
    expect(state()).toBe('[]')
  })

  it('are refused by name, index and version where they cannot be applied', () => {
    const { send } = setUp()
    expect(() => send({}, { machine: 'other' })).toThrow(
      expect.objectContaining({
        code: 'RAFT_UNKNOWN_MACHINE',
        message: expect.stringMatching(/"other".*index 1/) as string
      }) as Error
    )
    expect(() => send({}, { machine: 'constructor' })).toThrow(
      expect.objectContaining({ code: 'RAFT_UNKNOWN_MACHINE' }) as Error
    )
    expect(() => send({}, { version: 2 })).toThrow(
      expect.objectContaining({
        code: 'RAFT_MACHINE_VERSION',
        message: expect.stringMatching(/index 3.*version 2.*"ledger".*version 1/) as string
      }) as Error
    )
  })

  it.each([
    ['throws', () => { throw new Error('no such account') }, /"ledger" failed at index 1: no such account/],
    ['is asynchronous', async () => ({ state: 1, answer: 1 }), /apply has to be synchronous/],
    ['gives no state', () => ({ answer: 1 }), /apply has to give \{ state, answer \}/],
    ['gives nothing', () => undefined, /apply has to give/],
    ['answers what JSON cannot say', () => ({ state: 1, answer: 1n }), /BigInt/]
  ])('halt, and change nothing, when apply %s', (_case, apply, message) => {
    const { send, state } = setUp({ ledger: { version: 1, initial: () => 0, apply } as AnyMachineDefinition })
    expect(() => send({})).toThrow(message)
    expect(state()).toBe('[]')
  })

  it('in debug mode, halt when a state is changed in place or is not JSON', () => {
    const inPlace = setUp(
      {
        ledger: any({
          version: 1,
          initial: () => ({ deep: { total: 0 } }),
          apply: (state: { deep: { total: number } }) => {
            state.deep.total++
            return { state, answer: null }
          }
        })
      },
      true
    )
    expect(() => inPlace.send({})).toThrow(/read only/)
    const cases: unknown[] = [NaN, -0, 1n, new Map(), new Date(0), { a: undefined }, [() => 1], Symbol('s'), Infinity]
    for (const state of cases) {
      const { send } = setUp(
        { ledger: any({ version: 1, initial: () => null, apply: () => ({ state, answer: null }) }) },
        true
      )
      expect(() => send({})).toThrow(/the state is not JSON/)
    }
    const { send } = setUp({ ledger: any(ledger) }, true)
    expect([send({ add: 1 }), send({ add: 2 })]).toMatchObject([{ total: 1 }, { total: 3 }])
  })

  it('is registered once, in time, under a name and with a definition that can be', async () => {
    const { machine } = setUp()
    const register = (name: unknown, definition: unknown): unknown => {
      try {
        return machine.machines.register(name as string, definition as AnyMachineDefinition).name
      } catch (error) {
        return `${(error as { code?: string }).code}: ${(error as Error).message}`
      }
    }
    const valid = { version: 1, initial: () => 0, apply: () => ({ state: 0, answer: 0 }) }
    expect(register('ledger', valid)).toMatch(/^RAFT_MACHINE_EXISTS/)
    expect(register('', valid)).toMatch(/^RAFT_INVALID_OPTIONS.*1 to 100 characters/)
    expect(register('n'.repeat(101), valid)).toMatch(/^RAFT_INVALID_OPTIONS/)
    expect(register('x', null)).toMatch(/^RAFT_INVALID_OPTIONS/)
    expect(register('x', { ...valid, version: 0 })).toMatch(/version is an integer/)
    expect(register('x', { version: 1, aply: () => 1 })).toMatch(
      /initial is a function, and required; apply is a function, and required; there is no member "aply"/
    )
    expect(register('x', { ...valid, snapshot: () => [] })).toMatch(/snapshot needs a restore/)
    expect(register('x', { ...valid, initial: () => ({ at: new Date(0) }) })).toMatch(
      /initial\(\)\.at is not a plain object/
    )
    expect(register('__proto__', valid)).toBe('__proto__')
    for (let count = 2; count < limits.maxMachines; count++) expect(register(`n${count}`, valid)).toBe(`n${count}`)
    expect(register('one too many', valid)).toMatch(/^RAFT_INVALID_OPTIONS/)
    await machine.machines.seal()
    expect(register('late', valid)).toMatch(/^RAFT_MACHINE_TOO_LATE/)
  })
})

describe('user state machines in a snapshot', () => {
  it('go on as if there had been none, also when they are registered after it was read', async () => {
    const old = setUp()
    old.send({ add: 2, note: '\u{1f600}'.repeat(200_000) }, { idempotencyKey: 'i' })
    const snapshot = old.machine.snapshot()
    old.send({ add: 100 })
    const bytes = await bytesOf(snapshot)
    const early = await restoredInto(setUp({}), bytes)
    early.machine.machines.register('ledger', any(ledger))
    await early.machine.machines.seal()
    const sealed = setUp()
    await sealed.machine.machines.seal()
    await restoredInto(sealed, bytes)
    for (const world of [early, sealed]) {
      world.index = 1
      expect(await bytesOf(world.machine.snapshot())).toEqual(bytes)
      expect(world.send({ add: 2, note: '\u{1f600}'.repeat(200_000) }, { idempotencyKey: 'i' })).toMatchObject({
        total: 2,
        index: 1
      })
      expect(world.send({ add: 5 })).toMatchObject({ total: 7, index: 3 })
    }
  })

  it('are left out as long as they were never used, and begin anew where a snapshot has none of them', async () => {
    const unused = await bytesOf(setUp().machine.snapshot())
    expect(unused.includes('machine/ledger')).toBe(false)
    const world = setUp()
    const untouched = world.state()
    await world.machine.machines.seal()
    await restoredInto(world, unused)
    expect(world.state()).toBe(untouched)
  })

  it('refuse to start without a machine that it has, or with an older version of it', async () => {
    const old = setUp({ ledger: any({ ...ledger, version: 3 }) })
    old.send({ add: 1 }, { version: 3 })
    const bytes = await bytesOf(old.machine.snapshot())
    const without = await restoredInto(setUp({}), bytes)
    await expect(without.machine.machines.seal()).rejects.toMatchObject({
      code: 'RAFT_UNKNOWN_MACHINE',
      message: expect.stringContaining('ledger') as string
    })
    const older = await restoredInto(setUp(), bytes)
    await expect(older.machine.machines.seal()).rejects.toMatchObject({
      code: 'RAFT_MACHINE_VERSION',
      message: expect.stringMatching(/version 3.*version 1/) as string
    })
    const running = setUp({})
    await running.machine.machines.seal()
    await expect(restoredInto(running, bytes)).rejects.toMatchObject({ code: 'RAFT_UNKNOWN_MACHINE' })
  })

  it('take over the state of an older version by restore, and only so', async () => {
    const old = setUp()
    old.send({ add: 7 })
    const bytes = await bytesOf(old.machine.snapshot())
    const next = { ...ledger, version: 2 }
    const mute = await restoredInto(setUp({ ledger: any(next) }), bytes)
    await expect(mute.machine.machines.seal()).rejects.toMatchObject({
      code: 'RAFT_MACHINE_VERSION',
      message: expect.stringContaining('restore()') as string
    })
    const able = await restoredInto(setUp({
      ledger: any<Ledger, LedgerCommand, unknown>({
        ...next,
        restore: async (values, version) => {
          const first = await values[Symbol.asyncIterator]().next()
          return { ...(first.value as Ledger), last: `from version ${version}` }
        }
      })
    }), bytes)
    await able.machine.machines.seal()
    expect(able.state()).toContain('{"total":7,"last":"from version 1"}')
  })

  it('stream states of their own making, which do not show what is applied meanwhile', async () => {
    const words: MachineDefinition<ReadonlyMap<string, number>, string, number> = {
      version: 1,
      initial: () => new Map(),
      apply: (state, word) => ({ state: new Map(state).set(word, (state.get(word) ?? 0) + 1), answer: state.size }),
      snapshot: function * (state) { yield * state },
      restore: async (values) => {
        const state = new Map<string, number>()
        for await (const value of values) state.set(...value as [string, number])
        return state
      }
    }
    const old = setUp({ words: any(words) })
    for (let count = 0; count < 500; count++) old.send(`w${count % 50}`, { machine: 'words' })
    const snapshot = old.machine.snapshot()
    old.send('late', { machine: 'words' })
    const other = setUp({ words: any(words) })
    await other.machine.machines.seal()
    await other.machine.restore(snapshot)
    other.index = old.index
    expect(other.send('w1', { machine: 'words' })).toBe(50)
    expect(old.send('w1', { machine: 'words' })).toBe(51)
  })

  it('are replaced together with everything else, or not at all', async () => {
    const old = setUp()
    old.send({ add: 1 })
    const bytes = await bytesOf(old.machine.snapshot())
    const world = setUp()
    await world.machine.machines.seal()
    const before = JSON.stringify(world.machine)
    for (let at = 0; at < bytes.byteLength; at++) {
      const damaged = Buffer.from(bytes)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at & 7))
      await expect(world.machine.restore(streamOf(damaged))).rejects.toThrow()
      expect(JSON.stringify(world.machine)).toBe(before)
    }
  })
})
