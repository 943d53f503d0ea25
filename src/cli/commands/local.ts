import { setTimeout as delay } from 'node:timers/promises'
import { defaults } from '../../raft/defaults.ts'
import type { LocalSettings } from '../flags/local.ts'
import { LocalCluster, type LocalClusterOptions, type LocalNode } from '../local/local-cluster.ts'
import { requireFreePort } from '../local/ports.ts'
import { PlainError, type Print } from '../terminal/messages.ts'
import { untilAborted } from '../terminal/shutdown.ts'

const watchIntervalMs = 250
const restartDelayMs = 3_000

/**
 * Runs three nodes and a gateway until the signal aborts, and prints who leads and which node ended. A node that ends
 * is started again. Rejects with a {@link PlainError} when they cannot be started.
 */
export async function runLocal (
  settings: LocalSettings,
  print: Print,
  signal: AbortSignal,
  options: LocalClusterOptions = {}
): Promise<void> {
  print(`Starting three nodes and a gateway on 127.0.0.1, ports ${settings.ports.join(', ')}.`)
  for (const port of settings.ports) await requireFreePort(port, 'choose others with --first-port and --gateway-port')
  const cluster = await LocalCluster.start({ ...options, ...settings, signal })
  try {
    const leader = await cluster.waitForLeader()
    printOverview(cluster, leader, print)
    await Promise.all([
      watchLeader(cluster, leader, print, signal),
      ...cluster.nodes.map(async (node) => {
        await keepRunning(cluster, node, print, signal)
      })
    ])
  } finally {
    print('Stopping.')
    await cluster.stop()
  }
}

function printOverview (cluster: LocalCluster, leader: LocalNode, print: Print): void {
  print('')
  for (const node of cluster.nodes) {
    print(`  ${node.id.padEnd(8)} ${node.url}   ${node === leader ? 'leader' : 'follower'}, process ${node.child.pid}`)
  }
  print(`  gateway  ${cluster.gatewayUrl}`)
  print(`  data and logs in ${cluster.directory}`)
  print('')
  print('Try:')
  print(`  curl -i ${cluster.gatewayUrl}/orders -H 'content-type: application/json' -d '{"id":"o1","item":"tea"}'`)
  print(`  curl ${cluster.followers(leader)[0]?.url}/orders`)
  print(`  curl ${leader.url}${defaults.prefix}/v1/status`)
  print(`  kill -9 ${leader.child.pid}    # the leader; another one takes over`)
  print('')
  print('Ctrl-C stops everything.')
}

async function watchLeader (cluster: LocalCluster, first: LocalNode, print: Print, signal: AbortSignal): Promise<void> {
  for (let known: LocalNode | null = first; await pause(watchIntervalMs, signal);) {
    const leader = await cluster.leader()
    if (leader === known || signal.aborted) continue
    print(leader === null ? 'No leader' : `${leader.id} leads`)
    known = leader
  }
}

async function keepRunning (cluster: LocalCluster, node: LocalNode, print: Print, signal: AbortSignal): Promise<void> {
  for (;;) {
    const exit = await Promise.race([node.child.exited, untilAborted(signal).then(() => null)])
    if (exit === null || signal.aborted) return
    const reason = exit.signal ?? `exit code ${exit.code}`
    print(`${node.id} ended (${reason}); it starts again in ${restartDelayMs / 1_000} s`)
    if (!await pause(restartDelayMs, signal)) return
    try {
      await cluster.restart(node.id)
      print(`${node.id} is back: ready, process ${node.child.pid}`)
    } catch (error) {
      if (!(error instanceof PlainError)) throw error
      print(error.message)
    }
  }
}

/** Resolves with false as soon as the signal aborts, and with true after the pause. */
async function pause (ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(ms, undefined, { signal })
    return true
  } catch {
    return false
  }
}
