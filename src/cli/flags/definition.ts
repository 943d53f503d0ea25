import type { CommandName, Flags, FlagValues } from './flag-values.ts'

/** One command: its help and how its command line becomes settings. `C` is the command that results. */
export interface CommandDefinition<C> {
  readonly name: CommandName
  /** One line, for the general help. */
  readonly summary: string
  /** The words and flags behind the name, for the first line of its help. */
  readonly usage: string
  /** Paragraphs of its help, each one line. */
  readonly about: readonly string[]
  /** How many words without dashes may precede the flags: an action, a file. */
  readonly words: number
  readonly flags: Flags
  /** Environment variables that are no longer read, each with the message that refuses them. */
  readonly retiredVariables?: Readonly<Record<string, string>>
  /** Lines of its help behind the flags, by title. */
  readonly sections?: Readonly<Record<string, readonly string[]>>
  /** Builds the command. Throws `UsageError`. */
  readonly read: (values: FlagValues, words: readonly string[]) => C
}
