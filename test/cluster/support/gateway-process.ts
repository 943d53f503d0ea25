import { join } from 'node:path'
import { Child } from '../../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { freePorts } from '../../../src/cli/local/ports.ts'

const startTimeoutMs = 20_000
const stopGraceMs = 6_000

/** A gateway of the command line. */
export interface GatewayProcess {
  readonly child: Child
  readonly url: string
}

/** Starts a gateway over nodes, with its log in the directory, and resolves when it knows a leader. */
export async function startGateway (
  program: string,
  { copies, directory }: { readonly copies: ReadonlyArray<{ readonly url: string }>, readonly directory: string },
  flags: readonly string[] = []
): Promise<GatewayProcess> {
  const [port = 0] = await freePorts(1)
  const nodes = copies.map(({ url }) => url).join()
  const child = new Child({
    name: 'gateway',
    args: [program, 'gateway', '--nodes', nodes, '--listen', `127.0.0.1:${port}`, '--admin-on-traffic', ...flags],
    logFile: join(directory, 'gateway.log')
  })
  child.start()
  const url = `http://127.0.0.1:${port}`
  try {
    await pollUntil('the gateway to know a leader', startTimeoutMs, async () =>
      (await getJson<{ readonly leader: unknown }>(`${url}/_gateway/status`, 1_000))?.leader ?? null)
    return { child, url }
  } catch (error) {
    await child.stop(stopGraceMs)
    throw error
  }
}
