/** Values one step simpler than this one, the boldest first. Inputs are plain data and bytes. */
function * simpler (value: unknown): Generator {
  if (value instanceof Uint8Array) yield * shorter(value, (parts) => Buffer.concat(parts))
  else if (typeof value === 'string') yield * shorter(value, (parts) => parts.join(''))
  else if (typeof value === 'number' && value !== 0) yield * [0, 1, Math.trunc(value / 2)].filter((less) => less !== value)
  else if (Array.isArray(value)) yield * simplerList(value)
  else if (typeof value === 'object' && value !== null) yield * simplerObject(value as Record<string, unknown>)
}

function * shorter<Text extends string | Uint8Array> (text: Text, join: (parts: Text[]) => Text): Generator<Text> {
  for (let size = text.length; size >= 1; size = Math.floor(size / 2)) {
    for (let start = 0; start < text.length; start += size) {
      yield join([text.slice(0, start) as Text, text.slice(start + size) as Text])
    }
  }
}

function * simplerList (list: readonly unknown[]): Generator {
  for (let size = list.length; size >= 1; size = Math.floor(size / 2)) {
    for (let start = 0; start < list.length; start += size) yield [...list.slice(0, start), ...list.slice(start + size)]
  }
  for (const [at, item] of list.entries()) for (const less of simpler(item)) yield list.with(at, less)
}

function * simplerObject (object: Readonly<Record<string, unknown>>): Generator {
  for (const [name, member] of Object.entries(object)) {
    for (const less of simpler(member)) yield { ...object, [name]: less }
  }
}

/** An input that cannot be made simpler, within the runs allowed, without ceasing to fail. */
export interface Shrunk {
  readonly input: unknown
  readonly runs: number
}

/** Cuts a failing input down, step by step. `fails` says whether an input fails in the same way. */
export async function shrinkInput (
  input: unknown,
  fails: (input: unknown) => Promise<boolean>,
  maxRuns = 500,
  maxMs = 20_000
): Promise<Shrunk> {
  const deadline = performance.now() + maxMs
  let best = input
  let runs = 0
  for (let hasShrunk = true; hasShrunk;) {
    hasShrunk = false
    for (const candidate of simpler(best)) {
      if (runs >= maxRuns || performance.now() > deadline) return { input: best, runs }
      runs++
      if (!(await fails(candidate))) continue
      best = candidate
      hasShrunk = true
      break
    }
  }
  return { input: best, runs }
}
