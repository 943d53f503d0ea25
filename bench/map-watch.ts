/**
 * What watches of a map cost the node that applies a write, and what they hold: with no watch, with some that wait for
 * the key, and with as many that wait for others. `writeUs` is the write with all wakes, `readUs` the write until each
 * of them has read the change, both in the middle; `bytesPerWatch` is memory.
 *
 * `node map-watch.js [--watches 100,1000,10000] [--rounds 200]`; one line of JSON for each number of watches.
 */
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { ClusterStateMachine } from '../src/plugin/replicated/cluster-state-machine.ts'
import { encodeCommand } from '../src/plugin/replicated/command.ts'
import type { MapFollower } from '../src/plugin/replicated/map-history.ts'

const { values } = parseArgs({
  options: { watches: { type: 'string', default: '100,1000,10000' }, rounds: { type: 'string', default: '200' } }
})
const rounds = Number(values.rounds)
setFlagsFromString('--expose_gc')
const collectGarbage = runInNewContext('gc') as () => void

function heapBytes (): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

interface Figures {
  readonly writeUs: number
  readonly readUs: number
}

/** Writes keys that all watches with the prefix `a/` follow. */
function measure (machine: ClusterStateMachine, followers: readonly MapFollower[], index: { last: number }): Figures {
  const write: number[] = []
  const read: number[] = []
  for (let round = 0; round < rounds; round++) {
    const woken: MapFollower[] = []
    for (const follower of followers) follower.wait(() => { woken.push(follower) })
    const command = encodeCommand({ kind: 'map-set', map: 'm', key: `a/${round}`, value: { round, text: 'a value' } })
    const startMs = performance.now()
    machine.apply(command, { index: ++index.last, term: 1, timeMs: 0, timeOfDayMs: 0 })
    write.push(performance.now() - startMs)
    for (const follower of woken) follower.next()
    read.push(performance.now() - startMs)
  }
  return { writeUs: medianUs(write), readUs: medianUs(read) }
}

function medianUs (timesMs: number[]): number {
  const sorted = timesMs.sort((one, other) => one - other)
  return Number(((sorted[sorted.length >>> 1] ?? 0) * 1_000).toFixed(1))
}

for (const count of values.watches.split(',').map(Number)) {
  const machine = new ClusterStateMachine()
  const index = { last: 0 }
  // Warm, and with a history that is as long as later.
  measure(machine, [], index)
  const none = measure(machine, [], index)
  const beforeBytes = heapBytes()
  const followers = Array.from({ length: count }, () => machine.history.follow('m', { prefix: 'a/' }))
  for (const follower of followers) follower.wait(() => {})
  const bytesPerWatch = Math.round((heapBytes() - beforeBytes) / count)
  const all = measure(machine, followers, index)
  for (const follower of followers) follower.end()
  const others = Array.from({ length: count }, (_item, at) => machine.history.follow('m', { prefix: `b/${at % 10}` }))
  const elsewhere = measure(machine, others, index)
  console.log(JSON.stringify({
    watches: count,
    writeUs: { none: none.writeUs, all: all.writeUs, others: elsewhere.writeUs },
    readUs: all.readUs,
    readUsPerWatch: Number(((all.readUs - all.writeUs) / count).toFixed(2)),
    bytesPerWatch
  }))
}
