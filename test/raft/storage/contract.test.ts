import { describe, expect, it } from 'vitest'
import { asIndex } from '../../../src/raft/core/index.ts'
import { MemoryStorage } from '../../../src/raft/storage/memory-storage.ts'
import type { Storage, StorageBatch } from '../../../src/raft/storage/storage.ts'
import {
  baseOf,
  batch,
  codeOf,
  entry,
  fileStorage,
  hardState,
  readBack,
  rejection,
  stateAfter,
  temporaryDirectory,
  writeGroups
} from './support/opening.ts'

/** `reopened` returns the storage that a later start of the same node would open. */
interface Twin {
  readonly name: string
  readonly make: () => Promise<{ storage: Storage, reopened: () => Storage }>
}

const twins: readonly Twin[] = [
  {
    name: 'MemoryStorage',
    make: async () => {
      const storage = new MemoryStorage()
      return { storage, reopened: () => storage }
    }
  },
  {
    name: 'FileStorage',
    make: async () => {
      const directory = await temporaryDirectory()
      return { storage: fileStorage(directory), reopened: () => fileStorage(directory) }
    }
  },
  {
    name: 'FileStorage, the same instance opened again',
    make: async () => {
      const storage = fileStorage(await temporaryDirectory())
      return { storage, reopened: () => storage }
    }
  }
]

const roundTrips: Readonly<Record<string, readonly StorageBatch[]>> = {
  'nothing at all': [],
  'a hard state alone': [batch(hardState(3, 'n2'))],
  'a vote for a node with an empty id': [batch(hardState(3, ''))],
  'an id beyond ASCII': [batch(hardState(3, 'knoten-ä-節'))],
  'the largest numbers': [
    batch(hardState(Number.MAX_SAFE_INTEGER, 'n1', 1), {
      ...entry(1, Number.MAX_SAFE_INTEGER),
      timeMs: Number.MAX_SAFE_INTEGER
    })
  ],
  'entries of every kind, with and without data': [
    batch(hardState(1), entry(1, 1, '', 'noop'), entry(2, 1, 'x'), entry(3, 1, new Uint8Array(3000)))
  ],
  'many batches': Array.from({ length: 50 }, (_, i) => batch(hardState(i + 1, 'n1', i), entry(i + 1, i + 1))),
  'an overlap that replaces the tail by a shorter one': [
    batch(hardState(1), entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1)),
    batch(hardState(2), entry(2, 2))
  ],
  'an overlap that replaces everything': [
    batch(hardState(1), entry(1, 1), entry(2, 1)),
    batch(hardState(2), entry(1, 2))
  ],
  'an overlap, then growth': [
    batch(hardState(1), entry(1, 1), entry(2, 1)),
    batch(hardState(2), entry(2, 2), entry(3, 2)),
    batch(null, entry(4, 2))
  ],
  'an empty batch between others': [batch(hardState(1), entry(1, 1)), batch(null), batch(null, entry(2, 1))]
}

const brokenRules: Readonly<Record<string, StorageBatch>> = {
  'a gap behind the log': batch(null, entry(4, 2)),
  'a gap within the batch': batch(null, entry(3, 2), entry(5, 2)),
  'an index of 0': batch(null, entry(0, 2)),
  'a term that falls along the log': batch(null, entry(3, 1)),
  'an entry above the hard state\'s term': batch(null, entry(3, 3)),
  'a hard state whose term falls': batch(hardState(1, 'n1', 1)),
  'a second vote in a term': batch(hardState(2, 'n2', 1)),
  'a vote that is taken back': batch(hardState(2, null, 1)),
  'an entry that replaces a committed one': batch(hardState(3, null, 1), entry(1, 3)),
  'a fractional index': batch(null, entry(2.5, 2)),
  'a term that is not a number': batch(hardState(Number.NaN))
}

describe.each(twins)('the contract of Storage: $name', ({ make }) => {
  it.each(Object.entries(roundTrips))('reads back %s', async (_name, batches) => {
    const { storage, reopened } = await make()
    await writeGroups(storage, batches)
    expect(await readBack(reopened())).toEqual(stateAfter(batches))
  })

  it('keeps the order of appends that were not awaited', async () => {
    const { storage, reopened } = await make()
    await storage.open()
    const batches = Array.from({ length: 200 }, (_, i) => batch(hardState(i + 1), entry(1 + (i % 7), i + 1)))
    const settled: number[] = []
    await Promise.all(batches.map(async (one, i) => {
      await storage.append(one)
      settled.push(i)
    }))
    await storage.close()
    expect(settled).toEqual(batches.map((_, i) => i))
    expect(await readBack(reopened())).toEqual(stateAfter(batches))
  })

  it('does not resolve an append within the call', async () => {
    const { storage } = await make()
    await storage.open()
    let resolved = false
    const appended = storage.append(batch(hardState(1), entry(1, 1))).then(() => { resolved = true })
    expect(resolved).toBe(false)
    await appended
    await storage.close()
  })

  it('appends behind the earlier entries when it is opened again', async () => {
    const { storage, reopened } = await make()
    const first = [batch(hardState(1, 'n1'), entry(1, 1), entry(2, 1), entry(3, 1))]
    const second = [batch(hardState(2, 'n2'), entry(2, 2)), batch(null, entry(3, 2))]
    await writeGroups(storage, first)
    await writeGroups(reopened(), second)
    expect(await readBack(reopened())).toEqual(stateAfter([...first, ...second]))
  })

  it('closing waits for appends under way', async () => {
    const { storage, reopened } = await make()
    await storage.open()
    const batches = Array.from({ length: 20 }, (_, i) => batch(hardState(1), entry(i + 1, 1)))
    const appended = Promise.all(batches.map((one) => storage.append(one)))
    await storage.close()
    await appended
    expect(await readBack(reopened())).toEqual(stateAfter(batches))
  })

  it('closes any number of times, also at once and without having been opened', async () => {
    const { storage } = await make()
    await storage.close()
    await storage.open()
    await Promise.all([storage.close(), storage.close()])
    await storage.close()
  })

  it('refuses appends before it is opened and after it is closed', async () => {
    const { storage } = await make()
    expect(await codeOf(storage.append(batch(hardState(1))))).toBe('RAFT_STOPPED')
    await storage.open()
    await storage.close()
    expect(await codeOf(storage.append(batch(hardState(1))))).toBe('RAFT_STOPPED')
  })

  it('refuses to be opened twice', async () => {
    const { storage } = await make()
    await storage.open()
    await expect(storage.open()).rejects.toThrow('already open')
    await storage.append(batch(hardState(1)))
    await storage.close()
  })

  it('the state that open returned does not change with later appends', async () => {
    const { storage, reopened } = await make()
    await writeGroups(storage, [batch(hardState(1), entry(1, 1))])
    const again = reopened()
    const state = await again.open()
    await again.append(batch(hardState(2), entry(2, 2)))
    await again.close()
    expect(state).toEqual(stateAfter([batch(hardState(1), entry(1, 1))]))
  })

  it('lets a hard state name a commit index that the log reaches only later', async () => {
    const { storage, reopened } = await make()
    const batches = [batch(hardState(1, null, 2), entry(1, 1)), batch(null, entry(2, 1))]
    await writeGroups(storage, batches)
    expect(await readBack(reopened())).toEqual(stateAfter(batches))
  })

  it.each(Object.entries(brokenRules))('is poisoned by %s, and keeps the earlier batches', async (_name, broken) => {
    const { storage } = await make()
    const good = [batch(hardState(1), entry(1, 1)), batch(hardState(2, 'n1', 1), entry(2, 2))]
    await storage.open()
    const before = Promise.all(good.map((one) => storage.append(one)))
    const first = await rejection(storage.append(broken))
    expect(first.code).toBe('RAFT_STORAGE_FAILED')
    expect(first.cause).toBeInstanceOf(Error)
    await before
    expect(await rejection(storage.append(batch(null, entry(3, 2))))).toBe(first)
    await storage.close()
    expect(await rejection(storage.append(batch(null, entry(3, 2))))).toBe(first)
    expect(await rejection(storage.open())).toBe(first)
  })
})

describe.each(twins)('compaction and reset: $name', ({ make }) => {
  const five = [
    batch(hardState(1), entry(1, 1), entry(2, 1)),
    batch(hardState(2, 'n1', 3), entry(3, 2), entry(4, 2), entry(5, 2))
  ]

  it.each([1, 2, 3, 5])('a compaction through %i leaves the entries behind it, and their base', async (through) => {
    const { storage, reopened } = await make()
    await storage.open()
    for (const one of five) await storage.append(one)
    await storage.compact(asIndex(through))
    await storage.append(batch(null, entry(6, 2)))
    await storage.close()
    const all = [...stateAfter(five).entries, entry(6, 2)]
    expect(await readBack(reopened())).toEqual({
      base: baseOf(all[through - 1] ?? entry(0, 0)),
      hardState: hardState(2, 'n1', 3),
      entries: all.slice(through)
    })
  })

  it('a compaction through an index that was compacted before does nothing', async () => {
    const { storage, reopened } = await make()
    await storage.open()
    await storage.compact(asIndex(0))
    for (const one of five) await storage.append(one)
    await Promise.all([storage.compact(asIndex(4)), storage.compact(asIndex(2)), storage.compact(asIndex(4))])
    await storage.close()
    const again = reopened()
    await again.open()
    await again.compact(asIndex(3))
    await again.close()
    const state = await readBack(reopened())
    expect(state.base).toEqual(baseOf(entry(4, 2)))
    expect(state.entries).toEqual([entry(5, 2)])
  })

  it('entries behind a compaction may be replaced', async () => {
    const { storage, reopened } = await make()
    await storage.open()
    for (const one of five) await storage.append(one)
    await storage.compact(asIndex(3))
    await storage.append(batch(hardState(3), entry(4, 3)))
    await storage.close()
    expect(await readBack(reopened())).toEqual({
      base: baseOf(entry(3, 2)),
      hardState: hardState(3),
      entries: [entry(4, 3)]
    })
  })

  it('a reset drops everything before, and the log continues behind its base', async () => {
    const { storage, reopened } = await make()
    await storage.open()
    for (const one of five) await storage.append(one)
    await storage.reset(baseOf(entry(900, 4)), hardState(4, 'n2', 900))
    const again = storage
    await again.close()
    expect(await readBack(reopened())).toEqual({
      base: baseOf(entry(900, 4)),
      hardState: hardState(4, 'n2', 900),
      entries: []
    })
    const third = reopened()
    await third.open()
    await third.append(batch(hardState(5), entry(901, 5)))
    await third.close()
    expect(await readBack(reopened())).toEqual({
      base: baseOf(entry(900, 4)),
      hardState: hardState(5),
      entries: [entry(901, 5)]
    })
  })

  it('keeps the order of appends, compactions and resets that were not awaited', async () => {
    const { storage, reopened } = await make()
    await storage.open()
    await Promise.all([
      ...five.map((one) => storage.append(one)),
      storage.compact(asIndex(2)),
      storage.append(batch(null, entry(6, 2))),
      storage.reset(baseOf(entry(20, 2)), hardState(2, 'n1', 20)),
      storage.append(batch(null, entry(21, 2), entry(22, 2))),
      storage.compact(asIndex(21)),
      storage.append(batch(hardState(3, 'n1', 21), entry(23, 3)))
    ])
    await storage.close()
    expect(await readBack(reopened())).toEqual({
      base: baseOf(entry(21, 2)),
      hardState: hardState(3, 'n1', 21),
      entries: [entry(22, 2), entry(23, 3)]
    })
  })

  it.each<[string, (storage: Storage) => Promise<void>]>([
    ['a compaction beyond the log', (storage) => storage.compact(asIndex(6))],
    ['a compaction through no index', (storage) => storage.compact(asIndex(-1))],
    ['an entry that was compacted', async (storage) => {
      await storage.compact(asIndex(5))
      return storage.append(batch(hardState(3), entry(5, 3)))
    }],
    ['a reset that drops committed entries', (storage) => storage.reset(baseOf(entry(2, 1)), hardState(3))],
    ['a reset whose term falls', (storage) => storage.reset(baseOf(entry(9, 1)), hardState(1))],
    ['a reset above its own hard state', (storage) => storage.reset(baseOf(entry(9, 8)), hardState(7))]
  ])('is poisoned by %s', async (_name, call) => {
    const { storage } = await make()
    await storage.open()
    for (const one of five) await storage.append(one)
    const first = await rejection(call(storage))
    expect(first.code).toBe('RAFT_STORAGE_FAILED')
    expect(await rejection(storage.append(batch(null, entry(6, 2))))).toBe(first)
    expect(await rejection(storage.compact(asIndex(1)))).toBe(first)
    expect(await rejection(storage.reset(baseOf(entry(9, 2)), hardState(9)))).toBe(first)
    await storage.close()
  })

  it('is refused before it is opened and after it is closed', async () => {
    const { storage } = await make()
    expect(await codeOf(storage.compact(asIndex(1)))).toBe('RAFT_STOPPED')
    await storage.open()
    await storage.close()
    expect(await codeOf(storage.reset(baseOf(entry(9, 2)), hardState(9)))).toBe('RAFT_STOPPED')
  })
})

describe.each(twins)('the incarnation of a $name', ({ make }) => {
  it('is the same at every start and after every change, and different for every log', async () => {
    const { storage, reopened } = await make()
    await writeGroups(storage, [batch(hardState(1, 'n1'), entry(1, 1), entry(2, 1))])
    const { incarnation } = storage
    expect(incarnation).toMatch(/^[0-9a-f]{16}$/)
    const again = reopened()
    await again.open()
    await again.compact(asIndex(1))
    await again.reset(baseOf(entry(9, 2)), hardState(2, null, 9))
    for (let index = 10; index < 40; index++) await again.append(batch(null, entry(index, 2, new Uint8Array(1000))))
    await again.close()
    const last = reopened()
    await readBack(last)
    expect(last.incarnation).toBe(incarnation)
    const { storage: other } = await make()
    await readBack(other)
    expect(other.incarnation).not.toBe(incarnation)
  })
})
