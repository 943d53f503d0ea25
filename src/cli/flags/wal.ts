import type { CommandDefinition } from './definition.ts'
import { type FlagValues, UsageError } from './flag-values.ts'

/** The action of `fastify-raft wal`, and the data directory to read. */
export interface WalSettings {
  readonly action: 'inspect' | 'verify'
  readonly directory: string
  readonly json: boolean
}

/** A command line that asks for `fastify-raft wal`. */
export interface WalCommand {
  readonly kind: 'wal'
  readonly settings: WalSettings
}

export const walCommand: CommandDefinition<WalCommand> = {
  name: 'wal',
  summary: 'inspect or verify the log of a node that does not run',
  usage: '<inspect | verify> <directory> [options]',
  about: [
    'Reads the data directory of a node that does not run, log and snapshots to the last byte, and writes ' +
      'nothing. "inspect" says what is in it, "verify" only whether a node would start on it. A write that a crash ' +
      'interrupted is no damage: it was never acknowledged, and the next start cuts it.'
  ],
  words: 2,
  flags: { json: { text: 'one line of JSON' } },
  sections: {
    'Exit codes': [
      '0   the log and the snapshots are sound',
      '1   something is damaged; the message says what, where, and the two ways out',
      '2   the command line is wrong',
      '3   there is no log to be read there, or a running node has it open'
    ]
  },
  read: (values, words) => ({ kind: 'wal', settings: walSettings(values, words) })
}

function walSettings (values: FlagValues, [action, directory = '']: readonly string[]): WalSettings {
  if (action !== 'inspect' && action !== 'verify') {
    throw new UsageError(
      action === undefined ? 'Say what to do: inspect or verify' : `Unknown action "${action}": inspect or verify`,
      'wal'
    )
  }
  if (directory === '') throw new UsageError(`${action} needs a data directory`, 'wal')
  return { action, directory, json: values.flag('json') }
}
