import type { Answer } from '../../../../src/plugin/replicated/answer.ts'
import { ClusterStateMachine } from '../../../../src/plugin/replicated/cluster-state-machine.ts'
import type { Command } from '../../../../src/plugin/replicated/command.ts'
import { encodeCommand } from '../../../../src/plugin/replicated/command.ts'

/** A machine fed by hand: every call is the next entry of the log. */
export class TestMachine {
  readonly machine = new ClusterStateMachine()
  index = 0
  term = 0
  timeMs = 1_000_000

  apply (command: Command): Answer {
    return this.applyBytes(encodeCommand(command))
  }

  applyBytes (bytes: Uint8Array): Answer {
    return this.machine.apply(bytes, { index: ++this.index, term: this.term, timeMs: this.timeMs })
  }

  /** A new leadership; returns its token. */
  lead (): number {
    this.machine.leadershipStarted({ index: ++this.index, term: ++this.term, timeMs: this.timeMs })
    return this.index
  }

  set (
    key: string,
    value: unknown,
    more: { ifRevision?: number; fence?: number; idempotencyKey?: string } = {}
  ): Answer {
    return this.apply({ kind: 'map-set', map: 'm', key, value, ...more })
  }

  delete (key: string, more: { ifRevision?: number; fence?: number; idempotencyKey?: string } = {}): Answer {
    return this.apply({ kind: 'map-delete', map: 'm', key, ...more })
  }

  /** The value of a key, parsed; undefined when there is none. */
  value (key: string, map = 'm'): unknown {
    const stored = this.machine.maps.get(map, key)
    return stored === undefined ? undefined : JSON.parse(stored.valueJson)
  }

  acquire (name: string, requestId: string, ttlMs = 1_000): Answer {
    return this.apply({ kind: 'lock-acquire', name, owner: 'someone', ttlMs, requestId })
  }

  state (): string {
    return JSON.stringify(this.machine)
  }
}

/** Small seeded generator (mulberry32): the same seed gives the same run. */
export function seededRandom (seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}
