import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { CommandName } from './help.ts'

/** The highest TCP port. */
export const maxPort = 65_535

/** A command line that cannot be understood; the message is for people and names the flag. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  /** The command whose help says more, or null for the general help. */
  readonly command: CommandName | null

  constructor (message: string, command: CommandName | null = null) {
    super(message)
    this.command = command
  }
}

/** The environment a command reads; a flag wins over its variable. */
export type Environment = Readonly<Record<string, string | undefined>>

/** One flag of a command; all take a value except the boolean ones. */
export interface Flag {
  readonly type: 'string' | 'boolean'
  /** The environment variable that stands in for the flag. */
  readonly variable?: string
}

/** The flags of one command by name. */
export type Flags = Readonly<Record<string, Flag>>

/** What stood on the command line, by flag. */
export type GivenFlags = Readonly<Record<string, string | boolean | undefined>>

/** Reads the flags of one command, `--help` among them. Throws {@link UsageError}. */
export function parseFlags (command: CommandName, flags: Flags, argv: readonly string[]): GivenFlags {
  const options: NonNullable<ParseArgsConfig['options']> = { help: { type: 'boolean', short: 'h' } }
  for (const [name, flag] of Object.entries(flags)) options[name] = { type: flag.type }
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values as GivenFlags
  } catch (error) {
    // parseArgs explains itself in its first sentence; the rest is advice on positionals.
    const message = error instanceof Error ? error.message : String(error)
    throw new UsageError(message.split('. ')[0] ?? message, command)
  }
}

/** The values of one command's flags, from the command line or else the environment. */
export class FlagValues {
  readonly #command: CommandName
  readonly #flags: Flags
  readonly #values: GivenFlags
  readonly #environment: Environment

  constructor (command: CommandName, flags: Flags, values: GivenFlags, environment: Environment) {
    this.#command = command
    this.#flags = flags
    this.#values = values
    this.#environment = environment
  }

  /**
   * The value, or null when it was given nowhere. An empty one is refused on the command line and absent in the
   * environment.
   */
  text (flag: string): string | null {
    const given = this.#values[flag]
    if (given === '') throw this.fault(flag, 'must not be empty')
    if (typeof given === 'string') return given
    const inherited = this.#fromEnvironment(flag)
    return inherited === '' ? null : inherited
  }

  requiredText (flag: string): string {
    const value = this.text(flag)
    if (value === null) throw new UsageError(`${this.#named(flag)} is required`, this.#command)
    return value
  }

  flag (flag: string): boolean {
    if (this.#values[flag] === true) return true
    switch (this.#fromEnvironment(flag)) {
      case null: case '': case 'false': case '0': return false
      case 'true': case '1': return true
      default: throw this.fault(flag, 'must be true or false')
    }
  }

  milliseconds (flag: string): number | null {
    const text = this.text(flag)
    if (text === null) return null
    if (!/^[0-9]{1,9}$/.test(text)) throw this.fault(flag, `must be a whole number of milliseconds, not "${text}"`)
    return Number(text)
  }

  bytes (flag: string): number | null {
    const text = this.text(flag)
    if (text === null) return null
    if (!/^[0-9]{1,15}$/.test(text)) throw this.fault(flag, `must be a whole number of bytes, not "${text}"`)
    return Number(text)
  }

  port (flag: string): number | null {
    const text = this.text(flag)
    if (text === null) return null
    const port = Number(text)
    if (!/^[0-9]{1,5}$/.test(text) || port < 1 || port > maxPort) {
      throw this.fault(flag, `must be a port from 1 to ${maxPort}, not "${text}"`)
    }
    return port
  }

  fault (flag: string, problem: string): UsageError {
    return new UsageError(`${this.#named(flag)} ${problem}`, this.#command)
  }

  #fromEnvironment (flag: string): string | null {
    const variable = this.#flags[flag]?.variable
    return variable === undefined ? null : this.#environment[variable] ?? null
  }

  #named (flag: string): string {
    const variable = this.#flags[flag]?.variable
    return variable === undefined ? `--${flag}` : `--${flag} (or ${variable})`
  }
}
