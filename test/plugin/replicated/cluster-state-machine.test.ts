import { describe, expect, it } from 'vitest'
import type { LockCommand, MapCommand } from '../../../src/plugin/replicated/command.ts'
import type { MapComparison, MapWrite } from '../../../src/plugin/replicated/map-transaction.ts'
import { once, seededRandom, TestMachine } from './support/apply.ts'

type Command = MapCommand | Exclude<LockCommand, { kind: 'lock-grant' }>

/** The rules said again, as plainly as can be: one list of facts, searched from the front. */
class NaiveModel {
  index = 0
  leadership = 0
  values: Array<{ map: string, key: string, value: unknown, revision: number }> = []
  locks: Array<{ name: string, token: number, requestId: string, renewal: number }> = []
  over: string[] = []
  answers: Array<{ key: string, asked: string, answer: object }> = []

  lead (): void { this.leadership = ++this.index }

  apply (command: Command): object {
    this.index++
    switch (command.kind) {
      case 'map-set':
      case 'map-delete':
      case 'map-transact': return this.#once(command)
      default: return this.#lock(command)
    }
  }

  #once (command: MapCommand): object {
    const { once: condition, fence, ...rest } = command
    const scope = command.kind === 'map-transact' ? '' : command.map
    const idempotencyKey = condition === undefined ? undefined : `${condition.origin} ${scope} ${condition.key}`
    const asked = JSON.stringify(rest)
    const first = this.answers.find((remembered) => remembered.key === idempotencyKey)
    if (first !== undefined) {
      return first.asked === asked ? first.answer : { kind: 'refused', code: 'RAFT_IDEMPOTENCY_CONFLICT' }
    }
    if (fence !== undefined && fence !== this.leadership && !this.locks.some((lock) => lock.token === fence)) {
      return { kind: 'fenced', token: fence }
    }
    const answer = command.kind === 'map-transact' ? this.#transact(command) : this.#map(command)
    if (idempotencyKey !== undefined) this.answers.push({ key: idempotencyKey, asked, answer })
    return answer
  }

  #map (command: Extract<Command, { map: string }>): object {
    const { map, key, ifRevision } = command
    const current = this.values.find((value) => value.map === map && value.key === key)
    const revision = current?.revision ?? 0
    if (ifRevision !== undefined && ifRevision !== revision) return { kind: 'mismatch', key, revision }
    this.values = this.values.filter((value) => value !== current)
    if (command.kind === 'map-delete') {
      return { kind: 'deleted', key, revision: this.index, existed: current !== undefined }
    }
    this.values.push({ map, key, value: command.value, revision: this.index })
    return { kind: 'written', key, revision: this.index }
  }

  #transact ({ compare, then, else: otherwise }: Extract<Command, { kind: 'map-transact' }>): object {
    const compared = compare.map(({ map, key }) => this.values.find((value) => value.map === map && value.key === key))
    const succeeded = compare.every((comparison, at) => {
      const current = compared[at]
      if ('revision' in comparison) return comparison.revision === (current?.revision ?? 0)
      if ('exists' in comparison) return comparison.exists === (current !== undefined)
      return current !== undefined && JSON.stringify(current.value) === JSON.stringify(comparison.value)
    })
    for (const { kind, ...write } of succeeded ? then : otherwise) {
      this.values = this.values.filter(({ map, key }) => map !== write.map || key !== write.key)
      if (kind === 'set') this.values.push({ value: null, ...write, revision: this.index })
    }
    return {
      kind: 'transacted',
      succeeded,
      revision: this.index,
      revisions: compared.map((current) => current?.revision ?? 0)
    }
  }

  #lock (command: Exclude<Command, MapCommand>): object {
    const { name } = command
    const current = this.locks.find((lock) => lock.name === name)
    const isHolder = current !== undefined && 'token' in command && current.token === command.token
    const free = (): void => {
      this.locks = this.locks.filter((lock) => lock !== current)
      this.over.push(`${name}/${current?.requestId}`)
    }
    switch (command.kind) {
      case 'lock-acquire':
        if (this.over.includes(`${name}/${command.requestId}`)) return { kind: 'stale' }
        if (current === undefined) {
          this.locks.push({ name, token: this.index, requestId: command.requestId, renewal: 0 })
          return { kind: 'granted', token: this.index }
        }
        if (current.requestId !== command.requestId) return { kind: 'held', token: current.token }
        current.renewal++
        return { kind: 'granted', token: current.token }
      case 'lock-renew':
        if (!isHolder) return { kind: 'stale' }
        current.renewal++
        return { kind: 'renewed', token: current.token }
      case 'lock-release':
        if (!isHolder) return { kind: 'stale' }
        free()
        return { kind: 'released' }
      case 'lock-abandon':
        if (current?.requestId === command.requestId) free()
        else this.over.push(`${name}/${command.requestId}`)
        return { kind: 'released' }
      case 'lock-expire':
        if (!isHolder || current.renewal !== command.renewal) return { kind: 'stale' }
        free()
        return { kind: 'expired' }
    }
  }
}

const names = ['a', 'b', '__proto__', 'constructor']

function randomCommand (random: (below: number) => number, model: NaiveModel): Command {
  const pick = <T> (from: readonly T[]): T => from[random(from.length)] as T
  const recent = (): number => Math.max(1, model.index - random(12))
  const token =
    random(2) === 0 ? recent() : pick([...model.locks.map((lock) => lock.token), model.leadership, recent()]) || 1
  const condition = {
    ...(random(3) === 0 ? { ifRevision: pick([0, recent(), ...model.values.map((value) => value.revision)]) } : {}),
    ...(random(3) === 0 ? { fence: token } : {}),
    ...(random(3) === 0 ? once(`i${random(30)}`, { origin: pick(['api', 'http']) }) : {})
  }
  const at = (): { map: string, key: string } => ({ map: pick(names), key: pick(names) })
  const comparison = (): MapComparison => pick<MapComparison>([
    { ...at(), exists: random(2) === 0 },
    { ...at(), value: { at: random(3) } },
    { ...pick([...model.values, { ...at(), revision: 0 }].map(({ map, key, revision }) => ({ map, key, revision }))) }
  ])
  const branch = (): MapWrite[] => [...new Set(Array.from({ length: random(4) }, () => pick(names)))].map((key) =>
    random(3) === 0
      ? { kind: 'delete', map: 'a', key }
      : { kind: 'set', map: 'a', key, value: { at: random(3) } })
  switch (random(11)) {
    case 9:
    case 10: {
      const { fence, once: key } = condition
      return {
        kind: 'map-transact',
        compare: Array.from({ length: random(3) }, comparison),
        then: branch(),
        else: branch(),
        ...(fence === undefined ? {} : { fence }),
        ...(key === undefined ? {} : { once: key })
      }
    }
    case 0: return { kind: 'map-delete', map: pick(names), key: pick(names), ...condition }
    case 1: return { kind: 'lock-renew', name: pick(names), token, ttlMs: 500 }
    case 2: return { kind: 'lock-release', name: pick(names), token }
    case 3: return { kind: 'lock-abandon', name: pick(names), requestId: `r${random(40)}` }
    case 4: return { kind: 'lock-expire', name: pick(names), token, renewal: random(2) }
    case 5:
    case 6: return { kind: 'lock-acquire', name: pick(names), owner: 'o', ttlMs: 1_000, requestId: `r${random(40)}` }
    default: return { kind: 'map-set', map: pick(names), key: pick(names), value: { at: random(3) }, ...condition }
  }
}

describe('cluster machine', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('answers like a naive model, and two machines end alike (seed %i)', (seed) => {
    const random = seededRandom(seed)
    const model = new NaiveModel()
    const one = new TestMachine()
    const two = new TestMachine()
    const kinds = new Set<string>()
    for (let step = 0; step < 3_000; step++) {
      if (random(20) === 0) {
        for (const machine of [model, one, two]) machine.lead()
        continue
      }
      const command = randomCommand(random, model)
      const expected = model.apply(command)
      const answer = one.apply(command)
      expect(answer, `step ${step}: ${JSON.stringify(command)}`).toMatchObject(expected)
      expect(two.apply(command)).toEqual(answer)
      kinds.add(answer.kind)
    }
    expect(two.state()).toBe(one.state())
    expect(one.machine.maps.keys).toBe(model.values.length)
    for (const { map, key, value, revision } of model.values) {
      expect(one.value(key, map)).toEqual(value)
      expect(one.machine.maps.get(map, key)?.revision).toBe(revision)
    }
    expect([...one.machine.locks.all()].map((lock) => lock.token).sort()).toEqual(
      model.locks.map((lock) => lock.token).sort()
    )
    expect([...kinds].sort()).toEqual([
      'deleted',
      'expired',
      'fenced',
      'granted',
      'held',
      'mismatch',
      'refused',
      'released',
      'renewed',
      'stale',
      'transacted',
      'written'
    ])
  })

  it('survives random bytes: each is a refusal', () => {
    const random = seededRandom(99)
    const test = new TestMachine()
    for (let round = 0; round < 2_000; round++) {
      const bytes = Uint8Array.from({ length: random(60) }, () => random(256))
      expect(test.applyBytes(bytes)).toMatchObject({ kind: 'refused' })
    }
  })

  it('survives damaged commands: an answer, never a throw', () => {
    const random = seededRandom(7)
    const test = new TestMachine()
    const whole = Buffer.from(
      '{"kind":"map-set","map":"m","key":"k","value":{"a":[1,"x"]},"ifRevision":0,"fence":3,"once":{"key":"i","origin":"api","horizonMs":600000,"maxBytes":1000000}}'
    )
    for (let round = 0; round < 5_000; round++) {
      const bytes = Buffer.from(whole)
      for (let damage = 0; damage <= random(3); damage++) bytes[random(bytes.length)] = random(256)
      expect(typeof test.applyBytes(bytes.subarray(0, bytes.length - random(2))).kind).toBe('string')
    }
  })
})
