/**
 * What it costs to list a page of a large map right after a new key: `sortMs` the old way, which sorted all keys again
 * at each list behind a new key, `listMs` by the map table, and memory a key with and without the keys in order.
 *
 * `node map-list.js [--keys 10000,100000,400000] [--rounds 20]`; one line of JSON for each number of keys.
 */
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MapTable } from '../src/plugin/replicated/map-table.ts'
import { SortedKeys } from '../src/plugin/replicated/sorted-keys.ts'

const { values } = parseArgs({
  options: { keys: { type: 'string', default: '10000,100000,400000' }, rounds: { type: 'string', default: '20' } }
})
const rounds = Number(values.rounds)
const pageLength = 100
setFlagsFromString('--expose_gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Spread over the order of the keys, each once. */
function keyOf (at: number): string {
  return `key-${(Math.imul(at, 2_654_435_761) >>> 0).toString(36)}`
}

function heapBytes (): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

function meanMs (run: (round: number) => unknown): number {
  const startMs = performance.now()
  for (let round = 0; round < rounds; round++) run(round)
  return (performance.now() - startMs) / rounds
}

function byCodeUnits (a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function measure (count: number): void {
  const keys = Array.from({ length: count }, (_item, at) => keyOf(at))
  const emptyBytes = heapBytes()
  const sorted = new SortedKeys()
  for (const key of keys) sorted.add(key)
  const sortedBytes = heapBytes() - emptyBytes
  const table = new MapTable()
  const set = (at: number): unknown =>
    table.set(
      { kind: 'map-set', map: 'm', key: keyOf(at), value: { at, text: `value ${at}` } },
      { index: at + 1, term: 1, timeMs: 0, timeOfDayMs: 0 }
    )
  const beforeBytes = heapBytes()
  for (let at = 0; at < count; at++) set(at)
  const tableBytes = heapBytes() - beforeBytes
  const plain = new Map(keys.map((key) => [key, null]))
  const sortMs = meanMs((round) => {
    plain.set(keyOf(count + round), null)
    return [...plain.keys()].sort(byCodeUnits).slice(0, pageLength)
  })
  const listMs = meanMs((round) => {
    set(count + round)
    return table.list('m', { prefix: '', limit: pageLength })
  })
  console.log(JSON.stringify({
    keys: count,
    sortMs: Number(sortMs.toFixed(3)),
    listMs: Number(listMs.toFixed(4)),
    ratio: Math.round(sortMs / listMs),
    bytesPerKey: Math.round(tableBytes / count),
    bytesPerSortedKey: Number((sortedBytes / count).toFixed(1))
  }))
  // Held until here: what is measured must not be collected meanwhile.
  if ([...sorted.from(() => false)].length !== count) throw new Error('keys were lost')
}

for (const count of values.keys.split(',')) measure(Number(count))
