import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { Member } from '../../raft/index.ts'

/** The commands of `fastify-raft`. */
export type CommandName =
  'node' | 'gateway' | 'members' | 'leader' | 'locks' | 'sessions' | 'schedules' | 'tasks' | 'wal' | 'snapshot' |
  'secret' | 'token' | 'local' | 'demo'

/** One flag of a command: everything that the parser and the help need. */
export interface Flag {
  /** Placeholder of the value in the help, such as `<url>`. A flag without one is a switch. */
  readonly value?: string
  /** What it means, for the help. */
  readonly text: string
  /** The environment variable that stands in for the flag. */
  readonly variable?: string
  /** Value of a flag that is not given. */
  readonly default?: string
  /** Shown as the default. The command leaves the option out, and the plugin fills it in. */
  readonly pluginDefault?: string
}

/** The flags of one command by name, in the order of the help. */
export type Flags = Readonly<Record<string, Flag>>

/** The highest TCP port. */
export const maxPort = 65_535

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** A command line that makes no sense. The message is for people and names the flag. */
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

/** The values on the command line, by flag. */
type GivenFlags = Readonly<Record<string, string | boolean | undefined>>

/** Reads the flags of one command, `--help` among them. Throws {@link UsageError}. */
export function parseFlags (command: CommandName, flags: Flags, argv: readonly string[]): GivenFlags {
  const options: NonNullable<ParseArgsConfig['options']> = { help: { type: 'boolean', short: 'h' } }
  for (const [name, { value }] of Object.entries(flags)) {
    options[name] = { type: value === undefined ? 'boolean' : 'string' }
  }
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values as GivenFlags
  } catch (error) {
    // parseArgs explains itself in its first sentence; the rest is advice on positionals.
    const message = error instanceof Error ? error.message : String(error)
    throw new UsageError(message.split('. ')[0] ?? message, command)
  }
}

/**
 * The values of the flags of one command: from the command line, else from the environment, else the default. All
 * readers throw {@link UsageError} for a value of another form.
 */
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

  /** Whether the flag has a value on the command line or in the environment. */
  isGiven (flag: string): boolean {
    return this.#given(flag) !== null
  }

  /**
   * The value or its default, or null when there is neither. An empty value is refused on the command line and absent
   * in the environment.
   */
  text (flag: string): string | null {
    return this.#given(flag) ?? this.#flags[flag]?.default ?? null
  }

  /** A variable that has no flag: what it holds must not stand in the list of processes. Empty counts as absent. */
  variable (name: string): string | null {
    const value = this.#environment[name] ?? ''
    return value === '' ? null : value
  }

  requiredText (flag: string): string {
    return this.#required(flag, this.text(flag))
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
    return this.#wholeNumber(flag, 9, 'milliseconds')
  }

  bytes (flag: string): number | null {
    return this.#wholeNumber(flag, 15, 'bytes')
  }

  port (flag: string): number {
    const text = this.requiredText(flag)
    const port = Number(text)
    if (!/^[0-9]{1,5}$/.test(text) || port < 1 || port > maxPort) {
      throw this.fault(flag, `must be a port from 1 to ${maxPort}, not "${text}"`)
    }
    return port
  }

  /** A host and a port, such as 127.0.0.1:4001 or [::1]:4001. */
  listenAddress (flag: string): ListenAddress {
    const text = this.requiredText(flag)
    const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/.exec(text) ?? []
    const host = bracketed ?? plain
    const port = Number(digits)
    if (host === undefined || port > maxPort) {
      throw this.fault(flag, `must look like 127.0.0.1:4001 or [::1]:4001, not "${text}"`)
    }
    return { host, port }
  }

  /** A list with commas, trimmed. */
  list (flag: string): readonly string[] | null {
    return this.text(flag)?.split(',').map((item) => item.trim()) ?? null
  }

  requiredList (flag: string): readonly string[] {
    return this.#required(flag, this.list(flag))
  }

  /** A list of `id=url`. */
  members (flag: string): readonly Member[] | null {
    return this.list(flag)?.map((item) => {
      const [, id, url] = /^([^=\s]+)=(\S+)$/.exec(item) ?? []
      if (id === undefined || url === undefined) {
        throw this.fault(flag, `must look like n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002, but has "${item}"`)
      }
      return { id, url }
    }) ?? null
  }

  requiredMembers (flag: string): readonly Member[] {
    return this.#required(flag, this.members(flag))
  }

  requiredUrl (flag: string): string {
    const text = this.requiredText(flag)
    if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
      throw this.fault(flag, `must be a URL such as http://127.0.0.1:4001, not "${text}"`)
    }
    return text
  }

  /** Base URL of the node to ask. */
  nodeUrl (flag: string): string {
    return new URL(this.requiredUrl(flag)).origin
  }

  /** One header field, such as `authorization: Bearer x`. Its rules are those of the plugin and the gateway. */
  header (flag: string): Readonly<Record<string, string>> | null {
    const text = this.text(flag)
    if (text === null) return null
    const [, name, value] = /^\s*([^:\s]+):\s*(\S(?:.*\S)?)\s*$/.exec(text) ?? []
    // Without the text, which may be a secret.
    if (name === undefined || value === undefined) throw this.fault(flag, 'must look like "name: value"')
    return { [name]: value }
  }

  /** Refuses flags that do not go together with an action. */
  refuse (action: string, flags: readonly string[]): void {
    for (const flag of flags) {
      if (this.isGiven(flag)) throw this.fault(flag, `does not go together with ${action}`)
    }
  }

  fault (flag: string, problem: string): UsageError {
    return new UsageError(`${this.#named(flag)} ${problem}`, this.#command)
  }

  #wholeNumber (flag: string, maxDigits: number, unit: string): number | null {
    const text = this.text(flag)
    if (text === null) return null
    if (!/^[0-9]+$/.test(text) || text.length > maxDigits) {
      throw this.fault(flag, `must be a whole number of ${unit}, not "${text}"`)
    }
    return Number(text)
  }

  #required<T> (flag: string, value: T | null): T {
    if (value === null) throw new UsageError(`${this.#named(flag)} is required`, this.#command)
    return value
  }

  #given (flag: string): string | null {
    const given = this.#values[flag]
    if (given === '') throw this.fault(flag, 'must not be empty')
    if (typeof given === 'string') return given
    const inherited = this.#fromEnvironment(flag)
    return inherited === '' ? null : inherited
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
