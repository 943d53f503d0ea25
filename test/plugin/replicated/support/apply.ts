import type { Answer } from '../../../../src/plugin/replicated/answer.ts'
import { ClusterStateMachine } from '../../../../src/plugin/replicated/cluster-state-machine.ts'
import type { Command, OnceCondition } from '../../../../src/plugin/replicated/command.ts'
import { encodeCommand } from '../../../../src/plugin/replicated/command.ts'
import { idempotencyDefaults } from '../../../../src/plugin/replicated/limits.ts'
import type { ApplyContext } from '../../../../src/raft/index.ts'

/** The condition that a command applies once, as the application's code sets it unless told otherwise. */
export function once (key: string, more: Partial<OnceCondition> = {}): { readonly once: OnceCondition } {
  return { once: { key, origin: 'api', ...idempotencyDefaults, ...more } }
}

interface Conditions {
  readonly ifRevision?: number
  readonly fence?: number
  readonly idempotencyKey?: string
}

function conditionsOf ({ idempotencyKey, ...more }: Conditions) {
  return idempotencyKey === undefined ? more : { ...more, ...once(idempotencyKey) }
}

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
    return this.machine.apply(bytes, this.#nextContext())
  }

  /** A new leadership; returns its token. */
  lead (): number {
    this.term++
    this.machine.leadershipStarted(this.#nextContext())
    return this.index
  }

  set (
    key: string,
    value: unknown,
    more: Conditions = {}
  ): Answer {
    return this.apply({ kind: 'map-set', map: 'm', key, value, ...conditionsOf(more) })
  }

  delete (key: string, more: Conditions = {}): Answer {
    return this.apply({ kind: 'map-delete', map: 'm', key, ...conditionsOf(more) })
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

  #nextContext (): ApplyContext {
    return { index: ++this.index, term: this.term, timeMs: this.timeMs, timeOfDayMs: this.timeMs }
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
