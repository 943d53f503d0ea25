import type { Print } from '../terminal/messages.ts'

/** One thing that had to hold. */
export interface Check {
  readonly claim: string
  readonly holds: boolean
  /** What was found; shown either way. */
  readonly found: string
}

/** Prints events as they happen, each with the time since the start. */
export class Timeline {
  readonly #print: Print
  readonly #startMs: number
  readonly #nowMs: () => number

  constructor (print: Print, nowMs: () => number = () => performance.now()) {
    this.#print = print
    this.#nowMs = nowMs
    this.#startMs = nowMs()
  }

  /** Milliseconds since the start. */
  get elapsedMs (): number { return this.#nowMs() - this.#startMs }

  /** Prints one line with the time since the start. */
  tell (text: string): void {
    this.#print(`${(this.elapsedMs / 1_000).toFixed(2).padStart(7)} s  ${text}`)
  }
}

/** Prints every check and answers whether all of them held. No checks at all is a failure. */
export function printVerdict (checks: readonly Check[], print: Print): boolean {
  print('')
  print('Checks')
  for (const { claim, holds, found } of checks) print(`  ${holds ? 'ok  ' : 'FAIL'}  ${claim}: ${found}`)
  return checks.length > 0 && checks.every((check) => check.holds)
}
