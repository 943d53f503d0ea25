import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Order } from '../../../examples/orders/order.ts'
import type { DemoSettings } from '../flags/local.ts'
import { judgeOrders, judgeOutbox } from '../local/demo-checks.ts'
import { existingDirectory, LocalCluster, type LocalClusterOptions, type LocalNode } from '../local/local-cluster.ts'
import { listOrders, postOrder } from '../local/order-client.ts'
import { OrderWriter } from '../local/order-writer.ts'
import { pollUntil } from '../local/polling.ts'
import { type Check, printVerdict, Timeline } from '../local/timeline.ts'
import { PlainError, type Print } from '../terminal/messages.ts'

const firstOrders = 20
const beforeKillMs = 1_000
const afterRestartMs = 1_000
const stepTimeoutMs = 15_000

/**
 * Kills a leader under load, prints what happens and checks the outcome. Resolves with whether everything held; rejects
 * with a {@link PlainError} when a step took too long, or with the reason of the signal. Leaves nothing running.
 */
export async function runDemo (
  settings: DemoSettings,
  print: Print,
  signal: AbortSignal,
  options: LocalClusterOptions = {}
): Promise<boolean> {
  const timeline = new Timeline(print)
  print('fastify-raft demo: three nodes and a gateway on this machine; the leader dies while clients write.')
  print('')
  const dataDir =
    settings.dataDir === null ? null : await mkdtemp(join(await existingDirectory(settings.dataDir), 'demo-'))
  timeline.tell('starting n1, n2, n3 and the gateway')
  const cluster = await LocalCluster.start({ ...options, dataDir, signal })
  const story = new Story(cluster, timeline)
  const interrupted = new AbortController()
  try {
    const checks = await Promise.race([story.tell(), rejectedBy(signal, interrupted.signal)])
    const held = printVerdict(checks, print)
    print('')
    print(held ? `Everything held, in ${(timeline.elapsedMs / 1_000).toFixed(1)} s.` : 'Not everything held.')
    return held
  } finally {
    interrupted.abort()
    await story.end()
    await cluster.stop()
    if (dataDir !== null) print(`The data and the logs are in ${dataDir}`)
  }
}

async function rejectedBy (signal: AbortSignal, over: AbortSignal): Promise<never> {
  return await new Promise<never>((_resolve, reject) => {
    const onAbort = (): void => { reject(signal.reason as Error) }
    signal.addEventListener('abort', onAbort, { signal: over })
    if (signal.aborted) onAbort()
  })
}

class Story {
  readonly #cluster: LocalCluster
  readonly #timeline: Timeline
  readonly #acknowledged: string[] = []
  #writers: readonly OrderWriter[] = []

  constructor (cluster: LocalCluster, timeline: Timeline) {
    this.#cluster = cluster
    this.#timeline = timeline
  }

  /** Stops the clients. */
  async end (): Promise<void> {
    await Promise.all(this.#writers.map(async (writer) => { await writer.stop() }))
  }

  async tell (): Promise<Check[]> {
    await this.#introduce()
    await this.#postThroughFollower()
    this.#startWriters()
    await delay(beforeKillMs)
    const { killed, killedAtMs } = await this.#killLeader()
    const recovery = await this.#awaitRecovery(killed, killedAtMs)
    const newLeader = await this.#awaitNewLeader(killed, killedAtMs)
    await this.#awaitOutbox(killed, newLeader, killedAtMs)
    await this.#restart(killed)
    await delay(afterRestartMs)
    await this.end()
    for (const writer of this.#writers) this.#acknowledged.push(...writer.acknowledged.map(({ id }) => id))
    this.#timeline.tell(`the clients stop; ${this.#acknowledged.length} orders were acknowledged`)
    const stored = await this.#settle()
    return [
      ...recovery,
      ...judgeOrders(this.#acknowledged, stored),
      ...judgeOutbox(stored.get(newLeader.id) ?? [], killed.id)
    ]
  }

  async #introduce (): Promise<void> {
    const leader = await this.#cluster.waitForLeader()
    for (const { id, url } of this.#cluster.nodes) {
      this.#timeline.tell(`${id.padEnd(7)} ${url}  ${id === leader.id ? 'leader' : 'follower'}`)
    }
    this.#timeline.tell(`gateway ${this.#cluster.gatewayUrl}`)
  }

  async #postThroughFollower (): Promise<void> {
    const leader = await this.#cluster.waitForLeader()
    const [follower] = this.#cluster.followers(leader)
    if (follower === undefined) throw new PlainError('There is no follower')
    const startedMs = performance.now()
    for (let number = 1; number <= firstOrders; number++) {
      const id = `first-${String(number).padStart(5, '0')}`
      const node = await pollUntil(`an order to be accepted through ${follower.id}`, stepTimeoutMs, async () => {
        const outcome = await postOrder(follower.url, { id, item: 'coffee', quantity: number })
        return outcome.kind === 'acknowledged' ? outcome : null
      })
      this.#acknowledged.push(id)
      if (number === 1) {
        this.#timeline.tell(`first order posted through follower ${follower.id}, executed by ${node.node}`)
      }
    }
    this.#timeline.tell(
      `${firstOrders} orders posted through ${follower.id}: ${perItem(startedMs, firstOrders)} each, on the disks ` +
        'of a majority'
    )
  }

  #startWriters (): void {
    const addresses = [
      ...this.#cluster.nodes.map(({ id, url }) => ({ name: id, url })),
      { name: 'gateway', url: this.#cluster.gatewayUrl }
    ]
    this.#writers = addresses.flatMap(({ name, url }) => url === null ? [] : [new OrderWriter(name, url)])
    this.#timeline.tell(`clients keep posting through ${this.#writers.map(({ name }) => name).join(', ')} from now on`)
  }

  async #killLeader (): Promise<{ readonly killed: LocalNode, readonly killedAtMs: number }> {
    const killed = await this.#cluster.waitForLeader()
    const killedAtMs = performance.now()
    await this.#cluster.kill(killed.id, 'SIGKILL')
    this.#timeline.tell(`SIGKILL to the leader, ${killed.id}`)
    return { killed, killedAtMs }
  }

  async #awaitRecovery (killed: LocalNode, killedAtMs: number): Promise<Check[]> {
    const survivors = this.#writers.filter(({ name }) => name !== killed.id)
    return await Promise.all(survivors.map(async (writer) => {
      const next = await pollUntil(`the next order through ${writer.name}`, stepTimeoutMs, async () =>
        writer.firstAfter(killedAtMs, killed.id)
      )
      const found = `${Math.round(next.atMs - killedAtMs)} ms after the kill, executed by ${next.node}`
      this.#timeline.tell(`next order through ${writer.name}: ${found}`)
      return { claim: `orders go on through ${writer.name}`, holds: true, found }
    }))
  }

  async #awaitNewLeader (killed: LocalNode, killedAtMs: number): Promise<LocalNode> {
    const leader = await this.#cluster.waitForLeader(stepTimeoutMs)
    this.#timeline.tell(`${leader.id} leads now, seen ${since(killedAtMs)} after the kill; ${killed.id} is still dead`)
    return leader
  }

  async #awaitOutbox (killed: LocalNode, leader: LocalNode, killedAtMs: number): Promise<void> {
    const order = await pollUntil('the outbox to run on the new leader', stepTimeoutMs, async () => {
      const orders = await listOrders(leader.url, 'local') ?? []
      return orders.find(({ sentBy }) => sentBy !== null && sentBy !== killed.id) ?? null
    })
    this.#timeline.tell(
      `the outbox sends on ${order.sentBy} under token ${order.sentToken}, seen ${since(killedAtMs)} after the kill`
    )
  }

  async #restart (killed: LocalNode): Promise<void> {
    const restartedAtMs = performance.now()
    this.#timeline.tell(`${killed.id} is started again on its old data`)
    await this.#cluster.restart(killed.id, stepTimeoutMs)
    const leader = await this.#cluster.waitForLeader(stepTimeoutMs)
    const goal = (await this.#cluster.status(leader.id))?.commitIndex ?? 0
    await pollUntil(`${killed.id} to catch up`, stepTimeoutMs, async () => {
      const status = await this.#cluster.status(killed.id)
      return status !== null && status.appliedIndex >= goal ? status : null
    })
    this.#timeline.tell(`${killed.id} has caught up to entry ${goal}, ${since(restartedAtMs)} after its start`)
  }

  /** The orders of each node as soon as all nodes agree and nothing is left to send, at the latest at the deadline. */
  async #settle (): Promise<Map<string, readonly Order[]>> {
    const startedMs = performance.now()
    const deadlineMs = startedMs + stepTimeoutMs
    const stored = await pollUntil('every node to tell its orders', 2 * stepTimeoutMs, async () => {
      const lists = new Map<string, readonly Order[]>()
      for (const { id, url } of this.#cluster.nodes) {
        const orders = await listOrders(url, 'local')
        if (orders === null) return null
        lists.set(id, orders)
      }
      const settled = judgeOrders(this.#acknowledged, lists).every(({ holds }) => holds)
      return settled || performance.now() > deadlineMs ? lists : null
    })
    this.#timeline.tell(`all three nodes have told what they hold, ${since(startedMs)} later`)
    return stored
  }
}

function since (startMs: number): string {
  return `${Math.round(performance.now() - startMs)} ms`
}

function perItem (startMs: number, count: number): string {
  return `${((performance.now() - startMs) / count).toFixed(1)} ms`
}
