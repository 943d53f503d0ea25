/**
 * How long clients behind a balancer wait for the next leader: three nodes, clients that post orders through HAProxy
 * and nginx with the configurations of `examples/balancers`, and through the gateway, one after the other. In each
 * round the leader is killed and comes back, and then the new leader hands over. Prints a line of JSON for each program
 * and event: the longest time in which no order was acknowledged, as median and maximum of the rounds, and how requests
 * failed. Exit code 1 says that an acknowledged order was lost. What is not installed is left out and said.
 *
 * `node balancers.js [--rounds 10]`
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { LocalCluster } from '../src/cli/local/local-cluster.ts'
import { haproxy, isInstalled, nginx, startBalancer } from '../test/cluster/support/balancer-program.ts'
import { OrderLoad } from '../test/cluster/support/order-load.ts'
import { send } from '../test/cluster/support/requests.ts'
import { StallWatch } from '../test/cluster/support/stall-watch.ts'
import { median } from './statistics.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '10' } }, strict: true })
const rounds = Number(values.rounds)
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new RangeError('--rounds takes a whole number above 0')

// This file runs from build/bench.
const program = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
const examples = fileURLToPath(new URL('../../examples/balancers/', import.meta.url))
const recoveryTimeoutMs = 30_000
const ordersBefore = 50

/** What one event cost the clients. */
interface Event {
  readonly stallMs: number
  /** Codes of the requests that failed; `none` where it was not a node that answered. */
  readonly failures: readonly string[]
}

async function during (load: OrderLoad, work: () => Promise<void>): Promise<Event> {
  await load.acknowledged(ordersBefore)
  const failedBefore = load.failures.length
  const watch = new StallWatch(() => load.successesMs.length)
  await work()
  await load.succeedsFromNow(recoveryTimeoutMs)
  const stallMs = watch.end()
  return { stallMs, failures: load.failures.slice(failedBefore).map(({ code, status }) => code ?? `none ${status}`) }
}

async function kill (cluster: LocalCluster, load: OrderLoad): Promise<Event> {
  const leader = await cluster.waitForLeader()
  const event = await during(load, async () => { await cluster.kill(leader.id, 'SIGKILL') })
  await cluster.restart(leader.id)
  return event
}

async function handOver (cluster: LocalCluster, load: OrderLoad): Promise<Event> {
  const leader = await cluster.waitForLeader()
  return await during(load, async () => {
    const { status, text } = await send('POST', `${leader.url}/_cluster/v1/leader/transfer`, {})
    if (status !== 200) throw new Error(`the transfer was answered ${status} ${text}`)
  })
}

function print (name: string, kind: string, events: readonly Event[]): void {
  const stalls = events.map(({ stallMs }) => stallMs)
  const failures: Record<string, number> = {}
  for (const code of events.flatMap((event) => event.failures)) failures[code] = (failures[code] ?? 0) + 1
  process.stdout.write(`${JSON.stringify({
    name, kind, rounds, medianStallMs: Math.round(median(stalls)), maxStallMs: Math.max(...stalls), failures
  })}\n`)
}

async function measure (name: string, cluster: LocalCluster, url: string): Promise<void> {
  const load = new OrderLoad(url)
  try {
    const [kills, handovers]: [Event[], Event[]] = [[], []]
    for (let round = 0; round < rounds; round++) {
      kills.push(await kill(cluster, load))
      handovers.push(await handOver(cluster, load))
    }
    print(name, 'kill', kills)
    print(name, 'handover', handovers)
    const lost = await load.lost((await cluster.waitForLeader()).url)
    if (lost.length === 0) return
    process.stdout.write(`${JSON.stringify({ name, lost: lost.length })}\n`)
    process.exitCode = 1
  } finally {
    await load.stop()
  }
}

for (const balancer of [haproxy, nginx]) {
  if (!isInstalled(balancer)) {
    process.stdout.write(`${JSON.stringify({ name: balancer.name, skipped: 'not installed' })}\n`)
    continue
  }
  const cluster = await LocalCluster.start({ program, gateway: false })
  const running = await startBalancer(balancer, cluster.nodes, examples)
  try {
    await measure(balancer.name, cluster, running.url)
  } finally {
    await running.stop()
    await cluster.stop()
  }
}
const cluster = await LocalCluster.start({ program })
try {
  await measure('gateway', cluster, cluster.gatewayUrl ?? '')
} finally {
  await cluster.stop()
}
