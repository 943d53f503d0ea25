import { describe, expect, it } from 'vitest'
import type { SnapshotPart } from '../../../src/plugin/replicated/snapshot-records.ts'
import { readNothing, recordOf, sectionsOf } from '../../../src/plugin/replicated/snapshot-records.ts'

class Words implements SnapshotPart {
  words: readonly string[]
  constructor (...words: readonly string[]) { this.words = words }

  capture (): Iterable<Uint8Array> { return this.words.map((word) => recordOf(word)) }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const words: string[] = []
    for await (const record of records) words.push(Buffer.from(record).toString('utf8'))
    return () => { this.words = words }
  }
}

function textsOf (part: SnapshotPart, isOptional: boolean): readonly (readonly string[])[] {
  return sectionsOf({ name: 'words', versions: [1, 2], part, isOptional })
    .map(({ records }) => [...(records as Iterable<Uint8Array>)].map((record) => Buffer.from(record).toString('utf8')))
}

describe('a part that came after the first release', () => {
  it('has a section only while it holds something', () => {
    expect(textsOf(new Words(), true)).toEqual([])
    expect(textsOf(new Words(), false)).toEqual([[]])
    expect(textsOf(new Words('a', 'b', 'c'), true)).toEqual([['["a"]', '["b"]', '["c"]']])
    expect(sectionsOf({ name: 'words', versions: [1, 2], part: new Words('a'), isOptional: true }))
      .toMatchObject([{ name: 'words', version: 2 }])
  })

  it('is emptied by a snapshot that has none', async () => {
    const part = new Words('a')
    const commit = await readNothing(part)
    expect(part.words).toEqual(['a'])
    commit()
    expect(part.words).toEqual([])
  })
})
