import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AppendedCounter } from './support/appended-counter.ts'
import { judgeCounter } from './support/counter-rounds.ts'

/** The same file as two processes have it. */
async function twoReaders (checksTokens: boolean): Promise<readonly [AppendedCounter, AppendedCounter]> {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-counter-'))
  onTestFinished(async () => { await rm(directory, { recursive: true, force: true }) })
  const path = join(directory, 'counter')
  return [new AppendedCounter(path, checksTokens), new AppendedCounter(path, checksTokens)]
}

describe('a counter in a file that is appended to', () => {
  it('is one number for all who read it', async () => {
    const [one, other] = await twoReaders(true)
    expect(one.read('9')).toBe(0)
    expect(one.write('9', 1, 'a')).toBe(true)
    expect(other.read('10')).toBe(1)
    expect(other.write('10', 2, 'b')).toBe(true)
    expect(one.read('11')).toBe(2)
  })

  it('lets nothing in behind a higher token, also if that has only read', async () => {
    const [one, other] = await twoReaders(true)
    one.read('9')
    expect(other.read('10')).toBe(0)
    expect(one.write('9', 1, 'late')).toBe(false)
    expect(other.write('10', 1, 'in time')).toBe(true)
    expect(one.read('11')).toBe(1)
  })

  it('lets everything in without a fence', async () => {
    const [one, other] = await twoReaders(false)
    one.read('9')
    other.read('10')
    expect([other.write('10', 1, 'a'), one.write('9', 1, 'b')]).toEqual([true, true])
    expect(other.read('10')).toBe(1)
  })
})

describe('the judge of counters', () => {
  const note = (id: string, outcome: string) => ({ counter: 'file', id, token: '1', outcome }) as const

  it('finds an update that was lost, and one that is missing', () => {
    const writes = [{ value: 1, id: 'a' }, { value: 2, id: 'b' }, { value: 2, id: 'c' }]
    const notes = [note('a', 'yes'), note('b', 'yes'), note('d', 'yes'), note('e', 'no'), note('f', 'RAFT_FENCED')]
    expect(judgeCounter(writes, notes)).toEqual({ accepted: 3, value: 2, lost: 1, missing: ['d'], refused: 2 })
  })

  it('finds nothing where each number was made once', () => {
    const writes = [{ value: 1, id: 'a' }, { value: 2, id: 'b' }]
    expect(judgeCounter(writes, [note('a', 'yes')])).toEqual({ accepted: 2, value: 2, lost: 0, missing: [], refused: 0 })
  })
})
