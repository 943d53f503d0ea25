import fastify, { type FastifyInstance } from 'fastify'
import { ordersApp } from '../../../examples/orders/orders-app.ts'
import cluster, { type ClusterOptions, serverTls, type TlsOptions } from '../../plugin/index.ts'
import { defaults } from '../../raft/internal.ts'
import type { NodeSettings } from '../flags/node.ts'
import { closeInTime, requestsMs, stopSignal } from '../terminal/shutdown.ts'

const failureCheckMs = 500
// Reading a long log back may take longer than Fastify's default of 10 seconds.
const startTimeoutMs = 300_000

/**
 * Runs one node until it is told to stop or stops for good. Resolves with the exit code; rejects when it cannot start.
 */
export async function runNode (settings: NodeSettings): Promise<number> {
  const options = pluginOptions(settings)
  const app = fastify({
    ...(hasCertificate(options.tls) ? { https: serverTls(options.tls) } : {}),
    logger: { level: 'info', base: { node: settings.id } },
    // Two lines for each request would cost a good part of a write. What goes wrong is logged all the same.
    childLoggerFactory: (logger, bindings, options) => logger.child(bindings, { ...options, level: 'warn' }),
    pluginTimeout: startTimeoutMs,
    ajv: { customOptions: { removeAdditional: false } }
  })
  let signal: AbortSignal
  try {
    await app.register(cluster, options)
    await app.register(ordersApp)
    // Before the log line that says it listens: a process that waits for the line may send a signal at once.
    signal = stopSignal()
    await app.listen(settings.listen)
  } catch (error) {
    await app.close()
    throw error
  }
  const failure = await untilToldOrFailed(app, signal)
  if (failure !== null) app.log.error({ failure }, 'the node has stopped for good: exiting')
  const closable = { logger: app.log, close: async () => { await app.close() } }
  const exitCode = await closeInTime(closable, leavesWithinMs(settings))
  return failure === null ? exitCode : 1
}

/** How long the plugin lets a node take to leave for good. */
function leavesWithinMs ({ leaveOnClose, electionTimeoutMaxMs }: NodeSettings): number {
  return leaveOnClose ? defaults.leaveElectionTimeouts * (electionTimeoutMaxMs ?? defaults.electionTimeoutMaxMs) : 0
}

/** The options of the plugin. Absent settings are left out, so that the defaults of the plugin apply. */
export function pluginOptions (settings: NodeSettings): ClusterOptions {
  const {
    id,
    members,
    join,
    url,
    dataDir,
    minFreeBytes,
    clusterId,
    secret,
    secretFile,
    tokensFile,
    insecure,
    tls,
    tlsNames,
    tlsGateways,
    adminHeaders,
    leaveOnClose,
    heartbeatMs,
    electionTimeoutMinMs,
    electionTimeoutMaxMs
  } = settings
  return {
    id,
    insecure,
    closeTimeoutMs: requestsMs,
    leaveOnClose,
    ...(members === null ? {} : { members: [...members] }),
    ...(join === null ? {} : { join: [...join] }),
    ...(url === null ? {} : { url }),
    ...(dataDir === null ? {} : { dataDir }),
    ...(minFreeBytes === null ? {} : { minFreeBytes }),
    ...(clusterId === null ? {} : { clusterId }),
    ...(adminHeaders === null ? {} : { adminHeaders }),
    ...(secret === null ? {} : { secret: secret.split(',') }),
    ...(secretFile === null ? {} : { secretFile }),
    ...(tokensFile === null ? {} : { tokensFile }),
    ...tlsOptions({ tls, tlsNames, tlsGateways }),
    ...(heartbeatMs === null ? {} : { heartbeatMs }),
    ...(electionTimeoutMinMs === null ? {} : { electionTimeoutMinMs }),
    ...(electionTimeoutMaxMs === null ? {} : { electionTimeoutMaxMs })
  }
}

function tlsOptions (
  { tls, tlsNames, tlsGateways }: Pick<NodeSettings, 'tls' | 'tlsNames' | 'tlsGateways'>
): Pick<ClusterOptions, 'tls'> {
  const options: TlsOptions = {
    ...tls,
    ...(tlsNames === null ? {} : { names: tlsNames }),
    ...(tlsGateways === null ? {} : { gateways: [...tlsGateways] })
  }
  return Object.keys(options).length === 0 ? {} : { tls: options }
}

function hasCertificate (tls: TlsOptions | undefined): tls is TlsOptions {
  return tls?.certFile !== undefined || tls?.keyFile !== undefined
}

/** Resolves with null when the signal aborts, and with the reason when the node stops for good. */
async function untilToldOrFailed (app: FastifyInstance, signal: AbortSignal): Promise<string | null> {
  return await new Promise((resolve) => {
    const timer = setInterval(() => {
      const { failure } = app.cluster.status
      if (failure !== null) done(failure)
    }, failureCheckMs)
    const done = (failure: string | null): void => {
      clearInterval(timer)
      resolve(failure)
    }
    const onAbort = (): void => {
      app.log.info({ signal: String(signal.reason) }, 'closing')
      done(null)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
}
