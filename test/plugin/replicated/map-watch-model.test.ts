import { describe, expect, it } from 'vitest'
import type { MapChange, MapFollower } from '../../../src/plugin/replicated/map-history.ts'
import type { MapWrite } from '../../../src/plugin/replicated/map-transaction.ts'
import { seededRandom, TestMachine } from './support/apply.ts'

const keys = ['a', 'a/1', 'a/2', 'b', 'b/1', '__proto__']

/** A follower, the state as it would be by what it was shown, and from which state it began. */
interface Reader {
  readonly follower: MapFollower
  readonly prefix: string
  readonly seen: Map<string, string>
  lastRevision: number
}

function take (reader: Reader, { revision, events }: MapChange): void {
  expect(revision).toBeGreaterThan(reader.lastRevision)
  reader.lastRevision = revision
  for (const { key, valueJson } of events) {
    expect(key.startsWith(reader.prefix)).toBe(true)
    if (valueJson === null) expect(reader.seen.delete(key)).toBe(true)
    else reader.seen.set(key, valueJson)
  }
}

/** The keys with the prefix as the map has them. */
function stateOf ({ machine }: TestMachine, prefix: string): Map<string, string> {
  return new Map([...machine.maps.walk('m', { prefix })].map(({ key, valueJson }) => [key, valueJson]))
}

describe('those who follow a map', () => {
  it.each([1, 2, 3, 4])('see each change once, and end with what the map holds (seed %i)', (seed) => {
    const random = seededRandom(seed)
    const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T
    const test = new TestMachine()
    const readers: Reader[] = []
    let changes = 0
    const read = (reader: Reader, most: number): void => {
      for (let count = 0; count < most; count++) {
        const change = reader.follower.next()
        if (change === null) return
        take(reader, change)
        changes++
      }
    }
    for (let step = 0; step < 3_000; step++) {
      const writes = [...new Set([pick(keys), pick(keys)])].map((key): MapWrite => random(3) === 0
        ? { kind: 'delete', map: pick(['m', 'n']), key }
        : { kind: 'set', map: pick(['m', 'n']), key, value: random(5) })
      switch (random(6)) {
        case 0: test.set(pick(keys), step)
          break
        case 1: test.delete(pick(keys))
          break
        case 2: test.apply({
          kind: 'map-transact',
          compare: [{ map: 'm', key: pick(keys), exists: random(2) === 0 }],
          then: writes,
          else: []
        })
          break
        case 3: {
          // Begins behind what the map holds now, as a reader of a page does.
          const prefix = pick(['', 'a', 'a/', 'b', 'none'])
          const { revision } = test.machine.history
          const follower = test.machine.history.follow('m', { prefix }, revision)
          readers.push({ follower, prefix, seen: stateOf(test, prefix), lastRevision: revision })
          break
        }
        case 4: for (const reader of readers) if (random(4) === 0) read(reader, random(5))
          break
        default: {
          // Goes on elsewhere: a new place behind the last one.
          const at = random(readers.length + 1)
          const reader = readers[at]
          if (reader === undefined) break
          const follower = test.machine.history.follow('m', { prefix: reader.prefix }, reader.follower.revision)
          reader.follower.end()
          readers[at] = { ...reader, follower }
        }
      }
      if (readers.length > 30) readers.shift()?.follower.end()
    }
    for (const reader of readers) {
      read(reader, Infinity)
      expect(reader.seen).toEqual(stateOf(test, reader.prefix))
    }
    expect(changes).toBeGreaterThan(1_000)
    expect(test.machine.history.followers).toBe(readers.length)
  })
})
