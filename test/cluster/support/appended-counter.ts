import { appendFileSync, closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** One line of the file. */
export type CounterLine =
  /** From here on nothing below this token counts. */
  | { readonly kind: 'raise', readonly token: string }
  | { readonly kind: 'write', readonly token: string, readonly value: number, readonly id: string }

/** A write that counts. */
export interface AcceptedWrite {
  readonly value: number
  readonly id: string
}

/** What the lines of a file say, in their order: that order is the same for all who read it. */
export class CounterFold {
  readonly #checksTokens: boolean
  readonly #accepted: AcceptedWrite[] = []
  #token = 0n
  #value = 0

  constructor (checksTokens: boolean) {
    this.#checksTokens = checksTokens
  }

  get value (): number { return this.#value }
  get accepted (): readonly AcceptedWrite[] { return this.#accepted }

  /** Whether the line counts. */
  take (line: CounterLine): boolean {
    const token = BigInt(line.token)
    if (this.#checksTokens && token < this.#token) return false
    if (token > this.#token) this.#token = token
    if (line.kind === 'raise') return true
    this.#value = line.value
    this.#accepted.push({ value: line.value, id: line.id })
    return true
  }
}

/**
 * A number in a file that several processes share, fenced if it checks tokens. They only append, each line in one write
 * of the system, and all judge the lines in the same order; so a look at the token and the write are one step.
 */
export class AppendedCounter {
  readonly #path: string
  readonly #fold: CounterFold
  /** How much of the file is read. */
  #offset = 0

  constructor (path: string, checksTokens: boolean) {
    this.#path = path
    this.#fold = new CounterFold(checksTokens)
  }

  /** Raises the fence, and then reads: nobody with a lower token changes that any more. */
  read (token: string): number {
    this.#append({ kind: 'raise', token })
    return this.#fold.value
  }

  /** Whether the write counts. */
  write (token: string, value: number, id: string): boolean {
    return this.#append({ kind: 'write', token, value, id })
  }

  /** Whether the line counts, once all before it are read as well. */
  #append (line: CounterLine): boolean {
    const text = JSON.stringify(line)
    appendFileSync(this.#path, `${text}\n`)
    let isAccepted = false
    for (const read of this.#readOn()) {
      const counts = this.#fold.take(JSON.parse(read) as CounterLine)
      if (read === text) isAccepted = counts
    }
    return isAccepted
  }

  #readOn (): readonly string[] {
    const file = openSync(this.#path, 'r')
    try {
      const bytes = Buffer.alloc(fstatSync(file).size - this.#offset)
      const length = readSync(file, bytes, 0, bytes.length, this.#offset)
      const end = bytes.subarray(0, length).lastIndexOf(0x0a) + 1
      this.#offset += end
      return bytes.subarray(0, end).toString().split('\n').filter((line) => line !== '')
    } finally {
      closeSync(file)
    }
  }
}
