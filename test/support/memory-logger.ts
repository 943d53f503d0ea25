import type { Logger } from '../../src/raft/runtime/logger.ts'

/** One line of a {@link MemoryLogger}. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly details: object
  readonly message: string
}

/** A logger that keeps its lines for the test to look at. */
export class MemoryLogger implements Logger {
  readonly lines: LogLine[] = []
  readonly debug = this.#at('debug')
  readonly info = this.#at('info')
  readonly warn = this.#at('warn')
  readonly error = this.#at('error')

  messages (level: LogLine['level']): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.message)
  }

  #at (level: LogLine['level']): (details: object, message: string) => void {
    return (details, message) => { this.lines.push({ level, details, message }) }
  }
}
