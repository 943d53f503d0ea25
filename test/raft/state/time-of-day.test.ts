import { describe, expect, it } from 'vitest'
import { decodeEnvelope } from '../../../src/raft/state/command-envelope.ts'
import { ClockNotes } from '../../../src/raft/state/time-of-day.ts'

function setUp () {
  const notes = new ClockNotes()
  let now = { monotonicMs: 1_000, wallMs: 50_000 }
  return {
    pass: (monotonicMs: number, wallMs = monotonicMs) => {
      now = { monotonicMs: now.monotonicMs + monotonicMs, wallMs: now.wallMs + wallMs }
    },
    /** Appends one command, and gives what came before it in the log. */
    append: (term: number, kind: 'appended' | 'refused' = 'appended') => {
      let before: readonly Uint8Array[] = []
      const command = Uint8Array.of(1)
      notes.append([command], term, now, (all) => {
        expect(all.at(-1)).toBe(command)
        before = all.slice(0, -1)
        return { kind }
      })
      return before.map((bytes) => decodeEnvelope(bytes))
    }
  }
}

describe('notes of the clock', () => {
  it('come before the first commands of each term, and are repeated when these were refused', () => {
    const { append, pass } = setUp()
    expect(append(1, 'refused')).toEqual([{ kind: 'clock', wallMs: 50_000 }])
    pass(100)
    expect(append(1)).toEqual([{ kind: 'clock', wallMs: 50_100 }])
    expect(append(1)).toEqual([])
    expect(append(2)).toEqual([{ kind: 'clock', wallMs: 50_100 }])
  })

  it('are repeated within a term when the wall clock was set, or the machine was suspended', () => {
    const { append, pass } = setUp()
    append(1)
    pass(3_600_000)
    expect(append(1)).toEqual([])
    pass(0, -5_000)
    expect(append(1)).toEqual([{ kind: 'clock', wallMs: 3_645_000 }])
    pass(0, 8_000)
    expect(append(1)).toEqual([{ kind: 'clock', wallMs: 3_653_000 }])
    pass(0, 900)
    expect(append(1)).toEqual([])
  })
})
