import { describe, expect, it } from 'vitest'
import type { Entry } from '../../../src/raft/core/index.ts'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import { Applier } from '../../../src/raft/driver/applier.ts'
import type { SnapshotInfo } from '../../../src/raft/storage/snapshot-store.ts'

function entries (...indexes: readonly number[]): Entry[] {
  return indexes.map((index) => ({
    index: asIndex(index),
    term: asTerm(1),
    kind: 'command',
    timeMs: 0,
    data: new Uint8Array(1)
  }))
}

function snapshot (index: number): SnapshotInfo {
  return { index: asIndex(index), term: asTerm(1), timeMs: 0, configuration: new Uint8Array(0), bytes: 0, checksum: 0 }
}

function nextTurn () {
  return new Promise((resolve) => { setImmediate(resolve) })
}

/** An applier whose state is the list of what happened to it; restoring ends when the test says so. */
function createApplier () {
  const journal: Array<number | string> = []
  const announced: number[] = []
  const failures: Error[] = []
  const restoring: Array<{ readonly index: number; readonly end: () => void; readonly fail: (error: Error) => void }> =
    []
  const applier: Applier = new Applier({
    appliedIndex: 0,
    apply: (entry) => {
      if (entry.index === 13) throw new Error('unlucky')
      journal.push(entry.index)
    },
    restore: ({ index }) => new Promise((resolve, reject) => {
      restoring.push({
        index,
        end: () => {
          journal.push(`=${index}`)
          resolve()
        },
        fail: reject
      })
    }),
    applied: () => { announced.push(applier.appliedIndex) },
    failed: (error) => { failures.push(error) }
  })
  return { applier, journal, announced, failures, restoring }
}

describe('the applier', () => {
  it('applies in order and reports its applied index', () => {
    const { applier, journal, announced } = createApplier()
    applier.apply(entries(1, 2))
    applier.apply(entries(3))
    applier.apply([])
    expect(journal).toEqual([1, 2, 3])
    expect(announced).toEqual([2, 3])
  })

  it('A18 install during apply: entries that come meanwhile wait for the restore, and are applied once', async () => {
    const { applier, journal, announced, restoring } = createApplier()
    applier.apply(entries(1))
    applier.restore(snapshot(5))
    applier.apply(entries(6, 7))
    expect(applier).toMatchObject({ appliedIndex: 1, isRestoring: true })
    expect(journal).toEqual([1])
    restoring[0]?.end()
    await nextTurn()
    expect(journal).toEqual([1, '=5', 6, 7])
    expect(announced).toEqual([1, 5, 7])
    expect(applier).toMatchObject({ appliedIndex: 7, isRestoring: false })
    applier.apply(entries(8))
    expect(journal).toEqual([1, '=5', 6, 7, 8])
  })

  it('A18 two back to back: entries that the later one covers are never applied one by one', async () => {
    const { applier, journal, announced, restoring } = createApplier()
    applier.restore(snapshot(5))
    applier.apply(entries(6, 7))
    applier.restore(snapshot(9))
    applier.apply(entries(10))
    restoring[0]?.end()
    await nextTurn()
    expect(journal).toEqual(['=5'])
    restoring[1]?.end()
    await nextTurn()
    expect(journal).toEqual(['=5', '=9', 10])
    expect(announced).toEqual([9, 10])
  })

  it('of three back to back only the first and the last are restored', async () => {
    const { applier, journal, restoring } = createApplier()
    for (const index of [5, 6, 7]) applier.restore(snapshot(index))
    restoring[0]?.end()
    await nextTurn()
    restoring[1]?.end()
    await nextTurn()
    expect(journal).toEqual(['=5', '=7'])
  })

  it('a snapshot whose file was deleted for a later one is no failure', async () => {
    const { applier, journal, failures, restoring } = createApplier()
    applier.restore(snapshot(5))
    applier.restore(snapshot(9))
    restoring[0]?.fail(new Error('gone'))
    await nextTurn()
    restoring[1]?.end()
    await nextTurn()
    expect(journal).toEqual(['=9'])
    expect(failures).toEqual([])
  })

  it('a state that cannot be restored is a failure that names the snapshot', async () => {
    const { applier, failures, restoring } = createApplier()
    applier.restore(snapshot(5))
    restoring[0]?.fail(new Error('damaged'))
    await nextTurn()
    expect(failures).toMatchObject([
      { message: expect.stringContaining('index 5') as string, cause: { message: 'damaged' } }
    ])
    expect(applier.isRestoring).toBe(true)
  })

  it('an entry that cannot be applied is named, at once or after the restore that it waited for', async () => {
    const { applier, failures, restoring } = createApplier()
    expect(() => { applier.apply(entries(13)) }).toThrow('index 13')
    applier.restore(snapshot(12))
    applier.apply(entries(13))
    restoring[0]?.end()
    await nextTurn()
    expect(failures).toMatchObject([{ message: expect.stringContaining('index 13') as string }])
  })

  it('applies nothing after it was stopped', async () => {
    const { applier, journal, announced, restoring } = createApplier()
    applier.restore(snapshot(5))
    applier.apply(entries(6))
    applier.stop()
    restoring[0]?.end()
    await nextTurn()
    expect(journal).toEqual(['=5'])
    expect(announced).toEqual([])
  })
})
