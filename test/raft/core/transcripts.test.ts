import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { transcribe } from './support/transcript.ts'

const folder = join(import.meta.dirname, 'testdata')

/** `UPDATE_TRANSCRIPTS=1` writes what the core does now: read the difference before you commit it. */
const updates = process.env.UPDATE_TRANSCRIPTS === '1'

describe('transcripts of the core', () => {
  const names = readdirSync(folder).filter((name) => name.endsWith('.txt'))

  it('cover the five situations that a reader meets first', () => {
    expect(names).toEqual([
      'conflict-repair.txt', 'first-election.txt', 'joint-change.txt', 'leader-loss.txt', 'snapshot-catch-up.txt'
    ])
  })

  it.each(names)('%s is what happens', (name) => {
    const path = join(folder, name)
    const recorded = readFileSync(path, 'utf8')
    const transcript = transcribe(recorded)
    if (updates) writeFileSync(path, transcript)
    else expect(transcript).toBe(recorded)
  })
})
