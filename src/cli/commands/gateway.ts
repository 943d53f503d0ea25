import fastify from 'fastify'
import { createGateway } from '../../gateway/index.ts'
import type { GatewaySettings } from '../flags/gateway.ts'
import { closeInTime, requestsMs, stopSignal, untilAborted } from '../terminal/shutdown.ts'

/** Runs a gateway until it is told to stop. Resolves with the exit code; rejects when it cannot start. */
export async function runGateway (settings: GatewaySettings): Promise<number> {
  // Only for its logger, so that gateway and nodes log alike.
  const { log } = fastify({ logger: { level: 'info', base: { node: 'gateway' } } })
  const signal = stopSignal()
  const gateway = createGateway({
    nodes: settings.nodes,
    trustProxy: settings.trustProxy,
    logger: log,
    closeTimeoutMs: requestsMs,
    ...(settings.secret === null ? {} : { secret: settings.secret.split(',') }),
    ...(settings.secretFile === null ? {} : { secretFile: settings.secretFile }),
    ...(settings.tls === null ? {} : { tls: settings.tls }),
    ...(settings.adminHeaders === null ? {} : { adminHeaders: settings.adminHeaders })
  })
  try {
    await gateway.listen(settings.listen)
  } catch (error) {
    await gateway.close()
    throw error
  }
  log.info({ nodes: settings.nodes, ...settings.listen }, 'gateway is listening')
  log.info({ signal: String(await untilAborted(signal)) }, 'closing')
  return await closeInTime({ logger: log, close: async () => { await gateway.close() } })
}
