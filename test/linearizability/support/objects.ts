import type {
  KeyValueInput,
  KeyValueOutput,
  LockInput,
  LockOutput,
  MapInput,
  MapOutput,
  RegisterInput,
  RegisterOutput
} from '../index.ts'
import type { SequentialObject } from './simulate.ts'

/** A register whose written values are few, so that they repeat. */
export const simulatedRegister: SequentialObject<number | null, RegisterInput, RegisterOutput> = {
  initial: null,
  draw: (random) => random.pick([
    { kind: 'read' },
    { kind: 'write', value: random.between(0, 2) },
    { kind: 'compare-and-set', expected: random.between(0, 2), value: random.between(0, 2) }
  ]),
  apply: (state, input) => {
    switch (input.kind) {
      case 'read': return { state, output: { kind: 'read', value: state } }
      case 'write': return { state: input.value, output: { kind: 'written' } }
      case 'compare-and-set': {
        const wasEqual = state === input.expected
        return { state: wasEqual ? input.value : state, output: { kind: 'compared', wasEqual } }
      }
    }
  }
}

/** A register in which every written value is another. */
export const simulatedUniqueRegister: SequentialObject<number | null, RegisterInput, RegisterOutput> = {
  ...simulatedRegister,
  draw: (random, _state, serial) => random.chance(0.5) ? { kind: 'read' } : { kind: 'write', value: serial }
}

/** Two keys; every piece put or appended is another. */
export const simulatedKeyValue: SequentialObject<Readonly<Record<'a' | 'b', string>>, KeyValueInput, KeyValueOutput> = {
  initial: { a: '', b: '' },
  draw: (random, _state, serial) => {
    const key = random.pick(['a', 'b'])
    const value = `<${serial}>`
    return random.pick([
      { kind: 'get', key },
      { kind: 'get', key },
      { kind: 'append', key, value },
      { kind: 'append', key, value },
      { kind: 'put', key, value }
    ])
  },
  apply: (state, input) => {
    const key = input.key === 'a' ? 'a' : 'b'
    switch (input.kind) {
      case 'get': return { state, output: { kind: 'got', value: state[key] } }
      case 'put': return { state: { ...state, [key]: input.value }, output: { kind: 'stored' } }
      case 'append': return { state: { ...state, [key]: state[key] + input.value }, output: { kind: 'stored' } }
    }
  }
}

interface Stored { readonly value: unknown, readonly revision: number }

/** One key of the replicated map; the revision is the serial number, as a log index would be. */
export const simulatedMap: SequentialObject<Stored | null, MapInput, MapOutput> = {
  initial: null,
  draw: (random, state, serial) => {
    const key = 'k'
    const ifRevision = random.chance(0.7) ? state?.revision ?? 0 : random.between(0, serial)
    return random.pick<MapInput>([
      { kind: 'get', key },
      { kind: 'set', key, value: { text: random.between(0, 2) } },
      { kind: 'set', key, value: random.between(0, 2), ifRevision },
      { kind: 'delete', key },
      { kind: 'delete', key, ifRevision }
    ])
  },
  apply: (state, input, serial) => {
    if (input.kind === 'get') {
      return { state, output: state === null ? { kind: 'absent' } : { kind: 'found', ...state } }
    }
    const revision = state?.revision ?? 0
    if (input.ifRevision !== undefined && input.ifRevision !== revision) {
      return { state, output: serial % 2 === 0 ? { kind: 'mismatch' } : { kind: 'mismatch', revision } }
    }
    return input.kind === 'set'
      ? { state: { value: input.value, revision: serial }, output: { kind: 'written', revision: serial } }
      : { state: null, output: { kind: 'deleted', existed: state !== null, revision: serial } }
  }
}

interface Held { readonly request: string, readonly token: number }

/** One lock; the token is the serial number of the grant. */
export const simulatedLock: SequentialObject<Held | null, LockInput, LockOutput> = {
  initial: null,
  draw: (random, state, serial) => {
    const lock = 'l'
    const token = random.chance(0.8) ? state?.token ?? 0 : random.between(1, serial)
    return random.pick<LockInput>([
      { kind: 'acquire', lock, request: `r${serial}` },
      { kind: 'acquire', lock, request: `r${serial}` },
      { kind: 'renew', lock, token },
      { kind: 'release', lock, token },
      { kind: 'expire', lock, request: state?.request ?? `r${random.between(1, serial)}` }
    ])
  },
  apply: (state, input, serial) => {
    switch (input.kind) {
      case 'acquire': {
        if (state !== null) {
          return { state, output: serial % 2 === 0 ? { kind: 'held' } : { kind: 'held', token: state.token } }
        }
        return { state: { request: input.request, token: serial }, output: { kind: 'granted', token: serial } }
      }
      case 'renew': return { state, output: { kind: state?.token === input.token ? 'renewed' : 'stale' } }
      case 'release': {
        return state?.token === input.token
          ? { state: null, output: { kind: 'released' } }
          : { state, output: { kind: 'stale' } }
      }
      case 'expire': return { state: state?.request === input.request ? null : state, output: null }
    }
  }
}
