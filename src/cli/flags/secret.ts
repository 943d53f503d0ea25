import type { CommandDefinition } from './definition.ts'
import type { FlagValues } from './flag-values.ts'

/** What `fastify-raft secret` is to print. */
export type SecretSettings =
  | { readonly kind: 'new' }
  /** What gateways get of the secret of the nodes. */
  | { readonly kind: 'gateway', readonly secret: string | null, readonly secretFile: string | null }

/** A command line that asks for `fastify-raft secret`. */
export interface SecretCommand {
  readonly kind: 'secret'
  readonly settings: SecretSettings
}

export const secretCommand: CommandDefinition<SecretCommand> = {
  name: 'secret',
  summary: 'make a secret for the nodes of a cluster, or one for its gateways',
  usage: '[--for gateway]',
  about: [
    'Prints 32 random bytes as text. Give the same secret to all nodes, in CLUSTER_SECRET or in a file that only ' +
      'they can read (CLUSTER_SECRET_FILE), and to nobody else.',
    'With --for gateway it reads that secret, and prints what gateways prove with that they are the cluster\'s ' +
      '(CLUSTER_GATEWAY_SECRET): they can pass requests on and ask who leads, and nothing else.'
  ],
  words: 0,
  flags: {
    for: { value: 'gateway', text: 'print what gateways get of the secret of the nodes' },
    'secret-file': {
      value: '<file>',
      text: 'file with the secret of the nodes, instead of CLUSTER_SECRET',
      variable: 'CLUSTER_SECRET_FILE'
    }
  },
  read: (values) => ({ kind: 'secret', settings: secretSettings(values) })
}

function secretSettings (values: FlagValues): SecretSettings {
  switch (values.text('for')) {
    case null: return { kind: 'new' }
    case 'gateway': break
    default: throw values.fault('for', 'must be gateway')
  }
  const [secret, secretFile] = [values.variable('CLUSTER_SECRET'), values.text('secret-file')]
  if (secret === null && secretFile === null) {
    throw values.fault('secret-file', 'is required with --for gateway, or CLUSTER_SECRET: the secret of the nodes')
  }
  // A flag wins over a variable.
  return { kind: 'gateway', secret: secretFile === null ? secret : null, secretFile }
}
