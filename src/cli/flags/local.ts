import type { CommandDefinition } from './definition.ts'
import { type FlagValues, maxPort } from './flag-values.ts'

/** Settings of `fastify-raft local`. A null directory means a temporary one, removed at the end. */
export interface LocalSettings {
  readonly dataDir: string | null
  /** Loopback ports of the three nodes, then that of the gateway. */
  readonly ports: readonly number[]
}

/** Settings of `fastify-raft demo`. A null directory means a temporary one, removed at the end. */
export interface DemoSettings {
  readonly dataDir: string | null
}

/** A command line that asks for `fastify-raft local`. */
export interface LocalCommand {
  readonly kind: 'local'
  readonly settings: LocalSettings
}

/** A command line that asks for `fastify-raft demo`. */
export interface DemoCommand {
  readonly kind: 'demo'
  readonly settings: DemoSettings
}

const nodeCount = 3

export const localCommand: CommandDefinition<LocalCommand> = {
  name: 'local',
  summary: 'run three nodes and a gateway on this machine until Ctrl-C',
  usage: '[options]',
  about: ['Runs three nodes and a gateway on 127.0.0.1, prints their URLs and who leads, and stops them at Ctrl-C.'],
  words: 0,
  flags: {
    'first-port': { value: '<port>', text: 'the nodes take this port and the next two', default: '4001' },
    'gateway-port': { value: '<port>', text: 'the port of the gateway', default: '8080' },
    'data-dir': {
      value: '<directory>',
      text: 'an existing directory to keep the data in; left out: a temporary one, removed at the end'
    }
  },
  read: (values) => ({ kind: 'local', settings: localSettings(values) })
}

export const demoCommand: CommandDefinition<DemoCommand> = {
  name: 'demo',
  summary: 'kill the leader of such a cluster and check that nothing is lost',
  usage: '[options]',
  about: [
    'Runs three nodes and a gateway, posts orders, kills the leader with SIGKILL, brings it back and checks that ' +
      'every acknowledged order is on all three nodes and was sent exactly once. Exits with 0 only if all of that ' +
      'held.'
  ],
  words: 0,
  flags: {
    'data-dir': {
      value: '<directory>',
      text: 'an existing directory, in which a new one keeps the data and the logs of this run; left out: a ' +
        'temporary one, removed at the end'
    }
  },
  read: (values) => ({ kind: 'demo', settings: { dataDir: values.text('data-dir') } })
}

function localSettings (values: FlagValues): LocalSettings {
  const firstPort = values.port('first-port')
  const gatewayPort = values.port('gateway-port')
  const nodePorts = Array.from({ length: nodeCount }, (_, position) => firstPort + position)
  if (firstPort + nodeCount - 1 > maxPort) throw values.fault('first-port', `must leave room for ${nodeCount} ports`)
  if (nodePorts.includes(gatewayPort)) {
    throw values.fault('gateway-port', `must not be one of the nodes' ports ${nodePorts.join(', ')}`)
  }
  return { dataDir: values.text('data-dir'), ports: [...nodePorts, gatewayPort] }
}
