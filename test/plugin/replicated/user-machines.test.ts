import { describe, expect, it } from 'vitest'
import { ClusterStateMachine } from '../../../src/plugin/replicated/cluster-state-machine.ts'
import { encodeCommand } from '../../../src/plugin/replicated/command.ts'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import type { AnyMachineDefinition, MachineDefinition } from '../../../src/plugin/replicated/user-machine.ts'
import { bytesOf, streamOf } from '../../support/byte-streams.ts'
import { once } from './support/apply.ts'

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
  freezesStates = false
) {
  const machine = new ClusterStateMachine({ freezesStates })
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
      const { idempotencyKey, ...rest } = more
      const condition = idempotencyKey === undefined ? {} : once(idempotencyKey)
      const answer = machine.apply(
        encodeCommand({ kind: 'machine', machine: 'ledger', version: 1, command, ...rest, ...condition }),
        { index: ++world.index, term: 3, timeMs: 1_000, timeOfDayMs: 5_000 }
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
  it('apply commands with index, term and time of day, and answer', () => {
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
    world.machine.leadershipStarted({ index: ++world.index, term: 3, timeMs: 0, timeOfDayMs: 0 })
    expect(world.send({ add: 1 }, { fence: 7 })).toEqual({ kind: 'fenced', token: 7 })
    expect(world.send({ add: 1 }, { fence: 1 })).toMatchObject({ total: 1 })
  })

  it.each([
    ['a __proto__ member', '{"add":1,"__proto__":{"polluted":1}}'],
    ['a __proto__ member further down', '{"add":1,"list":[{"\\u005f_proto__":1}]}'],
    ['a constructor with a prototype', '{"add":1,"constructor":{"prototype":{"polluted":1}}}']
  ])('are never given %s', (_case, json) => {
    const { machine, state } = setUp()
    const bytes = Buffer.from(`{"kind":"machine","machine":"ledger","version":1,"command":${json}}`)
    expect(machine.apply(bytes, { index: 1, term: 1, timeMs: 1, timeOfDayMs: 1 })).toMatchObject({
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
    ['gives nothing', () => undefined, /apply has to give/]
  ])('halt, and change nothing, when apply %s', (_case, apply, message) => {
    const { send, state } = setUp({
      ledger: { version: 1, initial: () => 0, apply: apply as unknown as AnyMachineDefinition['apply'] }
    })
    expect(() => send({})).toThrow(message)
    expect(state()).toBe('[]')
  })

  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  class Account { readonly total = 1 }
  const deep = JSON.parse('['.repeat(1_001) + ']'.repeat(1_001)) as unknown
  const notJson: ReadonlyArray<readonly [string, unknown]> = [
    ['$.a[3].b is NaN', { a: [1, 2, 3, { b: NaN }] }],
    ['$ is Infinity', Infinity],
    ['$ is -0', -0],
    ['$ is a BigInt', 1n],
    ['$["two words"] is undefined', { 'two words': undefined }],
    ['$[0] is a function', [() => 1]],
    ['$ is a symbol', Symbol('s')],
    ['$ has a symbol as a name', { [Symbol('s')]: 1 }],
    ['$.at is not a plain object but of type Date', { at: new Date(0) }],
    ['$ is not a plain object but of type Map', new Map()],
    ['$ is not a plain object', new Account()],
    ['$ has a toJSON of its own', { toJSON: () => 1 }],
    ['$.self contains itself', cycle],
    ['$[1] is undefined', [1, , 2]], // eslint-disable-line no-sparse-arrays
    [`$${'[0]'.repeat(100)}… nests deeper than 1000 levels`, deep]
  ]

  it.each(notJson)('refuse a state or an answer that is not JSON, and go on: %s', (place, value) => {
    for (const freezes of [false, true]) {
      const world = setUp({
        ledger: any({
          version: 1,
          initial: () => ({ total: 0 }),
          apply: (state: { total: number }, command: string) => {
            if (command === 'state') return { state: value as typeof state, answer: 1 }
            if (command === 'answer') return { state: { total: 9 }, answer: value }
            return { state: { total: state.total + 1 }, answer: state.total + 1 }
          }
        })
      }, freezes)
      expect(world.send('add')).toBe(1)
      for (const which of ['state', 'answer']) {
        expect(world.send(which, { idempotencyKey: 'i' })).toEqual({
          kind: 'refused',
          code: 'RAFT_NOT_JSON',
          message: `"ledger" failed at index ${world.index}: the ${which} is not JSON: ${place}; the command changed nothing`
        })
      }
      expect(world.send('add', { idempotencyKey: 'i' })).toBe(2)
      expect(world.state()).toBe('[{"name":"ledger","version":1,"state":{"total":2}}]')
    }
  })

  it('check what is new in a state alone, wherever it stands, and find the same as a check of all of it', () => {
    let visits = 0
    const counted = (id: number) => Object.defineProperty({ id }, 'seen', {
      enumerable: true,
      get: () => { visits++; return id }
    })
    const { send } = setUp({
      ledger: any({
        version: 1,
        initial: () => ({ list: Array.from({ length: 1_000 }, (_item, id) => counted(id)), more: { n: 0 } }),
        apply: (state: { list: unknown[], more: { n: number } }, command: string) => {
          switch (command) {
            case 'push': return { state: { ...state, list: [...state.list, counted(1_000)] }, answer: null }
            case 'shift': return { state: { ...state, list: state.list.slice(1) }, answer: null }
            case 'insert': return {
              state: { ...state, list: state.list.toSpliced(500, 0, counted(7)) },
              answer: null
            }
            case 'bad': return { state: { ...state, list: state.list.toSpliced(500, 1, { n: NaN }) }, answer: null }
            default: return { state: { ...state, more: { n: state.more.n + 1 } }, answer: null }
          }
        }
      })
    })
    const visitsOf = (command: string): number => {
      visits = 0
      expect(send(command)).toBeNull()
      return visits
    }
    expect(['more', 'push', 'shift', 'insert', 'more'].map(visitsOf)).toEqual([0, 1, 0, 1, 0])
    expect(send('bad')).toMatchObject({ message: expect.stringContaining('$.list[500].n is NaN') as string })
  })

  it('with a snapshot of their own hold any state, and answer JSON', () => {
    const { send } = setUp({
      ledger: any({
        version: 1,
        initial: () => new Map(),
        apply: (state: Map<string, unknown>, command: string) => ({
          state: new Map(state).set(command, new Date(0)),
          answer: command === 'bad' ? new Date(0) : state.size
        }),
        snapshot: (state: Map<string, unknown>) => state.keys(),
        restore: async () => new Map()
      })
    })
    expect([send('a'), send('b')]).toEqual([0, 1])
    expect(send('bad')).toMatchObject({ code: 'RAFT_NOT_JSON' })
    expect(send('c')).toBe(2)
  })

  it('in debug mode, halt when a state is changed in place', () => {
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
    machine.machines.seal()
    expect(register('late', valid)).toMatch(/^RAFT_MACHINE_TOO_LATE/)
  })
})

describe('user state machines in a snapshot', () => {
  it('go on as if there had been none', async () => {
    const old = setUp()
    old.send({ add: 2, note: '\u{1f600}'.repeat(200_000) }, { idempotencyKey: 'i' })
    const snapshot = old.machine.snapshot()
    old.send({ add: 100 })
    const bytes = await bytesOf(snapshot)
    const early = setUp({})
    early.machine.machines.register('ledger', any(ledger))
    const sealed = setUp()
    sealed.machine.machines.seal()
    for (const world of [early, sealed]) {
      await restoredInto(world, bytes)
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
    world.machine.machines.seal()
    await restoredInto(world, unused)
    expect(world.state()).toBe(untouched)
  })

  it('refuse to start without a machine that it has, or with an older version of it', async () => {
    const old = setUp({ ledger: any({ ...ledger, version: 3 }) })
    old.send({ add: 1 }, { version: 3 })
    const bytes = await bytesOf(old.machine.snapshot())
    await expect(restoredInto(setUp({}), bytes)).rejects.toMatchObject({
      code: 'RAFT_UNKNOWN_MACHINE',
      message: expect.stringContaining('ledger') as string
    })
    await expect(restoredInto(setUp(), bytes)).rejects.toMatchObject({
      code: 'RAFT_MACHINE_VERSION',
      message: expect.stringMatching(/version 3.*version 1/) as string
    })
    const running = setUp({})
    running.machine.machines.seal()
    await expect(restoredInto(running, bytes)).rejects.toMatchObject({ code: 'RAFT_UNKNOWN_MACHINE' })
  })

  it('take over the state of an older version by restore, and only so', async () => {
    const old = setUp()
    old.send({ add: 7 })
    const bytes = await bytesOf(old.machine.snapshot())
    const next = { ...ledger, version: 2 }
    await expect(restoredInto(setUp({ ledger: any(next) }), bytes)).rejects.toMatchObject({
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
    other.machine.machines.seal()
    await other.machine.restore(snapshot)
    other.index = old.index
    expect(other.send('w1', { machine: 'words' })).toBe(50)
    expect(old.send('w1', { machine: 'words' })).toBe(51)
  })

  it.each([
    ['a state changed in place to what JSON cannot say', {
      apply: (state: { list: unknown[] }) => {
        state.list.push(1n)
        return { state, answer: null }
      }
    }, /BigInt/],
    ['a snapshot() that throws', {
      snapshot: () => { throw new Error('no paper') },
      restore: async () => ({ list: [] })
    }, /no paper/],
    ['a snapshot() that throws on the way', {
      snapshot: function * () {
        yield 1
        throw new Error('no paper')
      },
      restore: async () => ({ list: [] })
    }, /no paper/]
  ])('say which machine cannot be written: %s', async (_case, more, reason) => {
    const { send, machine } = setUp({
      ledger: any<{ list: unknown[] }, unknown, unknown>({
        version: 1,
        initial: () => ({ list: [] }),
        apply: (state) => ({ state, answer: null }),
        ...more
      })
    })
    send(1)
    await expect((async () => await bytesOf(machine.snapshot()))()).rejects.toMatchObject({
      code: 'RAFT_MACHINE_FAILED',
      message: expect.stringMatching(new RegExp(`"ledger" cannot be written.*${reason.source}.*Start it`)) as string
    })
    expect(send(2)).toBeNull()
  })

  it.each([
    ['throws', async () => { throw new Error('no such account') }, 'no such account'],
    ['gives what is not JSON', async () => ({ at: new Date(0) }), '$.at is not a plain object']
  ])('say which machine cannot be read, and the way out, when restore %s', async (_case, restore, reason) => {
    const old = setUp()
    old.send({ add: 7 })
    const bytes = await bytesOf(old.machine.snapshot())
    const next = setUp({
      ledger: any<unknown, unknown, unknown>({
        version: 2,
        initial: () => 0,
        apply: (state) => ({ state, answer: 1 }),
        restore
      })
    })
    await expect(restoredInto(next, bytes)).rejects.toMatchObject({
      code: 'RAFT_MACHINE_FAILED',
      message: expect.stringMatching(/restore\(\) of the state machine "ledger".*version 1.*start this node with/) as string
    })
    await expect(restoredInto(next, bytes)).rejects.toThrow(reason)
  })

  it('are replaced together with everything else, or not at all', async () => {
    const old = setUp()
    old.send({ add: 1 })
    const bytes = await bytesOf(old.machine.snapshot())
    const world = setUp()
    world.machine.machines.seal()
    const before = JSON.stringify(world.machine)
    for (let at = 0; at < bytes.byteLength; at++) {
      const damaged = Buffer.from(bytes)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at & 7))
      await expect(world.machine.restore(streamOf(damaged))).rejects.toThrow()
      expect(JSON.stringify(world.machine)).toBe(before)
    }
  })
})
