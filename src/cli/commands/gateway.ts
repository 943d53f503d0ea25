import fastify from 'fastify'
import type { GatewayListening } from '../../gateway/index.ts'
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
    reads: settings.reads,
    adminOnTraffic: settings.adminOnTraffic,
    drainMs: settings.drainMs,
    dnsServers: settings.dnsServers,
    ...(settings.adminPort === null ? {} : { adminPort: settings.adminPort }),
    ...(settings.serverTls === null ? {} : { serverTls: settings.serverTls }),
    logger: log,
    closeTimeoutMs: requestsMs,
    ...(settings.secret === null ? {} : { secret: settings.secret.split(',') }),
    ...(settings.secretFile === null ? {} : { secretFile: settings.secretFile }),
    ...(settings.tls === null ? {} : { tls: settings.tls }),
    ...(settings.adminHeaders === null ? {} : { adminHeaders: settings.adminHeaders })
  })
  let listening: GatewayListening
  try {
    listening = await gateway.listen(settings.listen)
  } catch (error) {
    await gateway.close()
    throw error
  }
  log.info({ nodes: settings.nodes, ...settings.listen, ...listening }, 'gateway is listening')
  log.info({ signal: String(await untilAborted(signal)) }, 'closing')
  return await closeInTime({ logger: log, close: async () => { await gateway.close() } }, settings.drainMs)
}
