import { type LeaderCommand, leaderCommand, type MembersCommand, membersCommand } from './admin.ts'
import {
  type CoordinationCommand,
  locksCommand,
  schedulesCommand,
  sessionsCommand,
  tasksCommand
} from './coordination.ts'
import type { CommandDefinition } from './definition.ts'
import { type Environment, FlagValues, parseFlags, UsageError } from './flag-values.ts'
import { type GatewayCommand, gatewayCommand } from './gateway.ts'
import { generalHelp, helpOf } from './help.ts'
import { type DemoCommand, demoCommand, type LocalCommand, localCommand } from './local.ts'
import { type NodeCommand, nodeCommand } from './node.ts'
import { type SecretCommand, secretCommand } from './secret.ts'
import { type SnapshotCommand, snapshotCommand } from './snapshot.ts'
import { type TokenCommand, tokenCommand } from './token.ts'
import { type WalCommand, walCommand } from './wal.ts'

/** A command line, parsed. */
export type Command =
  | { readonly kind: 'print', readonly text: string }
  | { readonly kind: 'version' }
  | NodeCommand
  | GatewayCommand
  | MembersCommand
  | LeaderCommand
  | CoordinationCommand
  | WalCommand
  | SnapshotCommand
  | SecretCommand
  | TokenCommand
  | LocalCommand
  | DemoCommand

/** All commands in the order of the general help. */
export const definitions: readonly CommandDefinition<Command>[] = [
  nodeCommand,
  gatewayCommand,
  membersCommand,
  leaderCommand,
  locksCommand,
  sessionsCommand,
  schedulesCommand,
  tasksCommand,
  walCommand,
  snapshotCommand,
  secretCommand,
  tokenCommand,
  localCommand,
  demoCommand
]

/**
 * Parses a command line (without the interpreter and the program) and the environment.
 * Throws {@link UsageError} for a command line that makes no sense.
 */
export function parseCommandLine (argv: readonly string[], environment: Environment): Command {
  const [name, ...rest] = argv
  switch (name) {
    case undefined:
    case '--help':
    case '-h':
    case 'help':
      return { kind: 'print', text: generalHelp(definitions) }
    case '--version':
    case '-v':
      return { kind: 'version' }
  }
  const definition = definitions.find((candidate) => candidate.name === name)
  if (definition === undefined) {
    throw new UsageError(name.startsWith('-') ? `Unknown option ${name}` : `Unknown command "${name}"`)
  }
  const words = leadingWords(rest, definition.words)
  const given = parseFlags(definition.name, definition.flags, rest.slice(words.length))
  if (given.help === true) return { kind: 'print', text: helpOf(definition) }
  for (const [variable, message] of Object.entries(definition.retiredVariables ?? {})) {
    if ((environment[variable] ?? '') !== '') throw new UsageError(message, definition.name)
  }
  return definition.read(new FlagValues(definition.name, definition.flags, given, environment), words)
}

function leadingWords (argv: readonly string[], max: number): readonly string[] {
  const firstFlag = argv.findIndex((argument) => argument.startsWith('-'))
  return argv.slice(0, Math.min(max, firstFlag === -1 ? argv.length : firstFlag))
}
