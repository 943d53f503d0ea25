import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import type { ClusterOptions, TlsOptions } from '../../../src/plugin/index.ts'
import { cluster, serverTls } from '../../../src/plugin/index.ts'
import type { MemoryLogger } from '../../support/memory-logger.ts'
import type { Node } from './cluster-of-three.ts'
import { agreedLeader } from './cluster-of-three.ts'

/** What the nodes of a {@link certifiedCluster} are started with. */
interface CertifiedClusterOptions {
  /** The option `tls` of each. */
  readonly tlsOf: (id: string) => TlsOptions
  readonly declare?: (app: FastifyInstance) => void
  readonly options?: ClusterOptions
  /** Takes the log lines of all of them. */
  readonly logger?: MemoryLogger
}

/** Starts three nodes that prove who they are with certificates, and waits for their leader. Closed with the test. */
export async function certifiedCluster (given: CertifiedClusterOptions): Promise<Node[]> {
  const members = (await freePorts(3)).map((port, index) => ({ id: `n${index + 1}`, url: `https://127.0.0.1:${port}` }))
  const nodes = await Promise.all(members.map(async ({ id, url }) => (
    await certifiedNode({ ...given, options: { ...given.options, id, members } }, id, url)
  )))
  await agreedLeader(nodes)
  return nodes
}

/** Starts one such node; its options name its URL. Closed with the test. */
export async function certifiedNode (
  { tlsOf, declare = () => {}, options = {}, logger }: CertifiedClusterOptions,
  id: string,
  url: string
): Promise<Node> {
  const tls = tlsOf(id)
  // Fastify has a type of its own for each kind of server.
  const app = Fastify({
    https: serverTls(tls),
    ...(logger === undefined ? {} : { loggerInstance: pinoOf(logger) })
  }) as unknown as FastifyInstance
  onTestFinished(async () => { await app.close() })
  await app.register(cluster, { ...options, id, tls })
  declare(app)
  const { hostname, port } = new URL(url)
  await app.listen({ host: hostname, port: Number(port) })
  return { id, app, url }
}

/** As Fastify wants a logger. */
function pinoOf (logger: MemoryLogger) {
  const pino = {
    ...Object.fromEntries((['debug', 'info', 'warn', 'error'] as const).map((level) => [level, logger[level]])),
    level: 'info',
    fatal: logger.error,
    trace: () => {},
    silent: () => {},
    child: () => pino
  }
  return pino as never
}
