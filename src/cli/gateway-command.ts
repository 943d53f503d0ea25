import { createGateway } from '../gateway/index.ts'
import type { GatewaySettings } from './arguments.ts'
import { closeInTime, stopSignal, untilAborted } from './shutdown.ts'

/** Runs a gateway until it is told to stop. Resolves with the exit code; rejects when it cannot start. */
export async function runGateway (settings: GatewaySettings): Promise<number> {
  const gateway = createGateway({ nodes: [...settings.nodes] })
  await gateway.listen(settings.listen)
  await untilAborted(stopSignal())
  return await closeInTime({ close: async () => { await gateway.close() } })
}
