import assert from 'node:assert/strict'
import { asIndex } from '../../../../src/raft/core/index.ts'
import { FileStorage } from '../../../../src/raft/storage/file-storage.ts'
import type { RecoveredState, Storage } from '../../../../src/raft/storage/storage.ts'
import type { LogChange } from '../../../../src/raft/storage/wal/log-rules.ts'
import { segmentId } from '../../../../src/raft/storage/wal/segment-file.ts'
import { baseOf, batch, entry, hardState, identity, stateAfter } from './builders.ts'
import type { Random } from './simulated-disk.ts'
import { randomFrom, SimulatedDisk } from './simulated-disk.ts'

/** What happened in a simulation. */
export interface CrashTally {
  crashes: number
  /** Crashes while the log was being opened. */
  duringOpen: number
  acknowledged: number
  /** Changes that were not acknowledged and survived all the same. */
  survived: number
  resets: number
  compactions: number
  /** The highest segment id in use. */
  segments: number
}

/** The content of the log after a change, computed in the simplest way. */
function after (state: RecoveredState, change: LogChange): RecoveredState {
  switch (change.kind) {
    case 'append': {
      const first = change.batch.entries[0]?.index ?? Number.POSITIVE_INFINITY
      return {
        base: state.base,
        hardState: change.batch.hardState ?? state.hardState,
        entries: [...state.entries.filter(({ index }) => index < first), ...change.batch.entries]
      }
    }
    case 'compact':
      return { ...state, base: change.base, entries: state.entries.filter(({ index }) => index > change.base.index) }
    case 'reset':
      return { base: change.base, hardState: change.hardState, entries: [] }
  }
}

function nextAppend (random: Random, { base, hardState: { term }, entries }: RecoveredState): LogChange {
  const nextTerm = Math.max(1, term + random(2))
  const last = entries.at(-1)?.index ?? base.index
  const first = nextTerm > term ? last + 1 - random(entries.length + 1) : last + 1
  const bytes = random(4) === 0 ? random(2500) : random(40)
  const added = Array.from({ length: random(4) }, (_, i) =>
    entry(first + i, nextTerm, new Uint8Array(bytes).fill(random(2) * 7))
  )
  return {
    kind: 'append',
    batch: batch(nextTerm > term ? hardState(nextTerm, random(2) === 0 ? null : 'n2') : null, ...added)
  }
}

/** A random change that obeys the rules of the log, for this state of it. */
function nextChange (random: Random, state: RecoveredState): LogChange {
  const { base, entries, hardState: { term } } = state
  const dice = random(40)
  const covered = entries[random(entries.length)]
  if (dice < 6 && covered !== undefined) return { kind: 'compact', base: baseOf(covered) }
  if (dice === 6 && term > 0) {
    const index = (entries.at(-1)?.index ?? base.index) + 1 + random(9)
    return { kind: 'reset', base: baseOf(entry(index, term)), hardState: hardState(term + 1, 'n3', index) }
  }
  return nextAppend(random, state)
}

function make (storage: Storage, change: LogChange): Promise<void> {
  switch (change.kind) {
    case 'append': return storage.append(change.batch)
    case 'compact': return storage.compact(asIndex(change.base.index))
    case 'reset': return storage.reset(change.base, change.hardState)
  }
}

async function microtasks (count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve()
}

function same (one: RecoveredState, other: RecoveredState): boolean {
  try {
    assert.deepStrictEqual(normal(one), normal(other))
    return true
  } catch {
    return false
  }
}

// Data read back lies in shared memory: compared by content.
function normal (state: RecoveredState): object {
  return { ...state, entries: state.entries.map((one) => one.kind === 'command' ? { ...one, data: Buffer.from(one.data) } : one) }
}

/**
 * Runs one node's log on a disk that crashes again and again, at every kind of call, and checks after each restart:
 * everything that was acknowledged is there, and behind it a first part of what was not, whole change by whole change.
 * Throws on the first difference.
 */
export async function simulateCrashes (seed: number, crashes: number): Promise<CrashTally> {
  const random = randomFrom(seed)
  const disk = new SimulatedDisk(random)
  const tally: CrashTally = {
    crashes: 0,
    duringOpen: 0,
    acknowledged: 0,
    survived: 0,
    resets: 0,
    compactions: 0,
    segments: 0
  }
  let known = stateAfter([])
  let unsure: LogChange[] = []
  while (tally.crashes < crashes) {
    const storage = new FileStorage(
      { directory: disk.directory, identity, segmentBytes: 4096, minFreeBytes: 0 },
      disk.files
    )
    const crashesInOpen = random(4) === 0
    if (crashesInOpen) disk.failAfter(random(12))
    let found: RecoveredState
    try {
      found = await storage.open()
    } catch (error) {
      assert.ok(
        crashesInOpen && (error as { code?: string }).code !== 'RAFT_WAL_CORRUPT',
        `seed ${seed}, crash ${tally.crashes}: ${String(error)}`
      )
      tally.crashes++
      tally.duringOpen++
      disk.restart(random(2) === 0)
      continue
    }
    let candidate = known
    let survived = same(found, candidate) ? 0 : -1
    for (const [at, change] of unsure.entries()) {
      candidate = after(candidate, change)
      // The longest match: changes that change nothing are neither here nor there.
      if (same(found, candidate)) survived = at + 1
    }
    assert.notEqual(
      survived,
      -1,
      `seed ${seed}, crash ${tally.crashes}: what was recovered is not what was acknowledged and a first part of the rest`
    )
    tally.survived += survived
    known = found
    unsure = []

    if (random(4) === 0) disk.failOnceAfter(random(30))
    else disk.failAfter(random(40))
    let failed = false
    for (let groups = 1; !failed; groups++) {
      // The one failure may have hit the preparation of a segment, which is tried again.
      if (groups % 30 === 0) disk.failAfter(random(10))
      const group: LogChange[] = []
      let planned = known
      for (let count = 1 + random(3); count > 0; count -= 1) {
        const change = nextChange(random, planned)
        planned = after(planned, change)
        group.push(change)
      }
      const made: Promise<void>[] = []
      for (const change of group) {
        // Some come while those before are being written, or while a segment is being started for them.
        if (random(2) === 0) await microtasks(random(40))
        made.push(make(storage, change))
      }
      const outcomes = await Promise.allSettled(made)
      const acknowledged = outcomes.findIndex(({ status }) => status === 'rejected')
      failed = acknowledged !== -1
      for (const change of failed ? group.slice(0, acknowledged) : group) {
        known = after(known, change)
        tally.acknowledged++
        if (change.kind === 'reset') tally.resets++
        if (change.kind === 'compact') tally.compactions++
      }
      if (failed) unsure = group.slice(acknowledged)
    }
    await storage.close().catch(() => {})
    tally.crashes++
    tally.segments = Math.max(tally.segments, ...disk.names.map((name) => segmentId(name) ?? 0))
    disk.restart(random(3) !== 0)
  }
  return tally
}
