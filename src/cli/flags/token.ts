import type { CommandDefinition } from './definition.ts'

/** Where `fastify-raft token` writes the token. */
export interface TokenSettings {
  /** Null: to standard output. */
  readonly file: string | null
}

/** A command line that asks for `fastify-raft token`. */
export interface TokenCommand {
  readonly kind: 'token'
  readonly settings: TokenSettings
}

export const tokenCommand: CommandDefinition<TokenCommand> = {
  name: 'token',
  summary: 'make a token for callers of the routes of a cluster',
  usage: '[--file <file>]',
  about: [
    'Prints 32 random bytes as text: a token for the option "tokens". With --file it writes the token into that ' +
      'file, which nobody else may read, and prints its SHA-256 digest, which the nodes can be given instead. A file ' +
      'that exists is left as it is, and the digest of the token in it is printed.'
  ],
  words: 0,
  flags: {
    file: { value: '<file>', text: 'where the token is, or is to be' }
  },
  read: (values) => ({ kind: 'token', settings: { file: values.text('file') } })
}
