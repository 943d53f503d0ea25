import type { CommandDefinition } from './definition.ts'

/** A command line that asks for `fastify-raft secret`. */
export interface SecretCommand {
  readonly kind: 'secret'
}

export const secretCommand: CommandDefinition<SecretCommand> = {
  name: 'secret',
  summary: 'make a secret for the nodes of a cluster',
  usage: '',
  about: [
    'Prints 32 random bytes as text. Give the same secret to all nodes, in CLUSTER_SECRET or in a file that only ' +
      'they can read (CLUSTER_SECRET_FILE), and to nobody else.'
  ],
  words: 0,
  flags: {},
  read: () => ({ kind: 'secret' })
}
