import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { NodeStatus } from '../../../src/cli/local/local-cluster.ts'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { makeSecret } from '../../../src/raft/trust/secret.ts'
import type { Exchange } from './interceptor.ts'
import { codeOf, Interceptor } from './interceptor.ts'
import type { LogLine } from './notes-cluster.ts'
import { linesIn } from './notes-cluster.ts'
import { send } from './requests.ts'
import { RoutedNode } from './routed-cluster.ts'
import { RoutedHosts } from './routed-hosts.ts'

/** What copies on hosts of their own, with a secret alone, were seen to do. */
export interface TrustedHostsResult {
  /** The status of an order through each copy, one that joined later, and a gateway with what is made of the secret. */
  readonly orders: Readonly<Record<string, number>>
  /** What a copy with another secret, and the others, say of it. */
  readonly stranger: {
    readonly isReady: boolean
    readonly ownLog: readonly string[]
    readonly othersLog: readonly string[]
  }
  /** How the copies answer what was recorded, by how often. */
  readonly playedBack: Readonly<Record<string, number>>
  readonly playedBackAfterRestart: Readonly<Record<string, number>>
  /** Leader and term by each copy. */
  readonly leaders: ReadonlyArray<{ readonly when: string, readonly seen: readonly string[] }>
  /** Orders on each copy in the end. */
  readonly stored: readonly number[]
}

const port = 4001
const timeoutMs = 30_000
const strangerMs = 3_000
const ids = ['n1', 'n2', 'n3'] as const
const run = promisify(execFile)

/**
 * Three copies of `fastify-raft node` on hosts of their own, which get a secret in their environment and nothing else
 * that is about trust. Only within a namespace that ends with them.
 */
export class TrustedHosts {
  readonly #hosts: RoutedHosts
  readonly #program: string
  readonly #directory: string
  readonly #secret = makeSecret()
  /** On the way to n1, from its start. */
  readonly #interceptor: Interceptor
  readonly #nodes = new Map<string, RoutedNode>()
  readonly #leaders: Array<TrustedHostsResult['leaders'][number]> = []

  /** Runs everything that there is to see, with data and logs in an existing directory. */
  static async run (program: string, directory: string): Promise<TrustedHostsResult> {
    const hosts = await RoutedHosts.create([...ids, 'n4', 'n5', 'gateway'])
    const interceptor = await Interceptor.open(`http://${hosts.address('n1')}:${port}`, port, hosts.router('n1'))
    interceptor.recorded = []
    const trusted = new TrustedHosts(hosts, interceptor, program, directory)
    try {
      return await trusted.#run()
    } finally {
      await Promise.all([...trusted.#nodes.values()].map(async (node) => { await node.stop() }))
      await interceptor.close()
    }
  }

  private constructor (hosts: RoutedHosts, interceptor: Interceptor, program: string, directory: string) {
    this.#hosts = hosts
    this.#interceptor = interceptor
    this.#program = program
    this.#directory = directory
  }

  async #run (): Promise<TrustedHostsResult> {
    for (const id of ids) this.#start(id, this.#secret, ids)
    await Promise.all(ids.map(async (id) => { await this.#node(id).ready() }))
    await this.#join('n5')
    await this.#startGateway('gateway')
    const places = [...ids, 'n5', 'gateway']
    const orders = Object.fromEntries(await Promise.all(places.map(async (id) => [id, await this.#order(id)] as const)))
    await this.#look('before')
    const stranger = await this.#stranger()
    const playedBack = await this.#playBack(this.#recorded())
    await this.#look('after a stranger and a playback')
    const recorded = this.#recorded()
    await this.#node('n1').stop()
    this.#start('n1', this.#secret, ids)
    await this.#node('n1').ready()
    await this.#look('after a restart')
    const playedBackAfterRestart = await this.#playBack(recorded)
    await this.#look('after a playback after a restart')
    const stored = await Promise.all(ids.map(async (id) => await this.#stored(id)))
    return { orders, stranger, playedBack, playedBackAfterRestart, leaders: this.#leaders, stored }
  }

  /** As the README says: a secret, and an address that the others reach. */
  #start (id: string, secret: string, members: readonly string[]): void {
    this.#startNode(id, secret, ['--members', members.map((member) => `${member}=${this.#memberUrl(member)}`).join()])
  }

  async #join (id: string): Promise<void> {
    this.#startNode(id, this.#secret, ['--join', this.#memberUrl('n2'), '--url', this.#memberUrl(id)])
    await this.#node(id).ready()
  }

  #startNode (id: string, secret: string, place: readonly string[]): void {
    const dataDir = join(this.#directory, id)
    this.#launch(id, ['node', '--id', id, '--data-dir', dataDir, ...place], { CLUSTER_SECRET: secret })
  }

  /** It gets what is made of the secret, and not the secret. */
  async #startGateway (id: string): Promise<void> {
    const env = { CLUSTER_SECRET: this.#secret }
    const { stdout } = await run(process.execPath, [this.#program, 'secret', '--for', 'gateway'], { env })
    const nodes = ids.map((member) => this.#memberUrl(member)).join()
    this.#launch(id, ['gateway', '--nodes', nodes, '--admin-on-traffic'], { CLUSTER_GATEWAY_SECRET: stdout.trim() })
    await pollUntil('the gateway to know the leader', timeoutMs, async () => {
      const status = await getJson<{ readonly leader: unknown }>(`${this.#node(id).url}/_gateway/status`, timeoutMs)
      return status?.leader ?? null
    })
  }

  #launch (id: string, args: readonly string[], environment: Readonly<Record<string, string>>): void {
    const all = [this.#program, ...args, '--listen', `0.0.0.0:${port}`]
    const url = `http://${this.#hosts.address(id)}:${port}`
    this.#nodes.set(id, new RoutedNode(id, url, this.#logOf(id), all, environment))
  }

  /** A fourth copy counts itself among the members, and has another secret. */
  async #stranger (): Promise<TrustedHostsResult['stranger']> {
    this.#start('n4', makeSecret(), [...ids, 'n4'])
    const node = this.#node('n4')
    const others = (): readonly string[] => ids.flatMap((id) => otherSecretLines(this.#logOf(id)))
    await pollUntil('both sides to say that the secret is another one', timeoutMs, async () =>
      otherSecretLines(this.#logOf('n4')).length > 0 && others().length > 0 ? true : null)
    // Long enough for some elections, if it could make any.
    await new Promise((resolve) => { setTimeout(resolve, strangerMs) })
    // It may have given up: nobody lets it in.
    const isReady = await send('GET', `${node.url}/_cluster/v1/readyz`).then(({ status }) => status === 200, () => false)
    await node.stop()
    return { isReady, ownLog: otherSecretLines(this.#logOf('n4')), othersLog: others() }
  }

  async #order (id: string): Promise<number> {
    return (await send('POST', `${this.#node(id).url}/orders`, { id: `through-${id}`, item: 'tea' }, timeoutMs)).status
  }

  async #stored (id: string): Promise<number> {
    const { text } = await send('GET', `${this.#node(id).url}/orders`, undefined, timeoutMs)
    return (JSON.parse(text) as { readonly orders: readonly unknown[] }).orders.length
  }

  /** All that peers have sent to n1, and what it has answered 200. */
  #recorded (): readonly Exchange[] {
    return (this.#interceptor.recorded ?? []).filter(({ request, answer }) =>
      request.target.startsWith('/_cluster/raft/') && answer.statusCode === 200)
  }

  async #playBack (recorded: readonly Exchange[]): Promise<Readonly<Record<string, number>>> {
    const counts: Record<string, number> = {}
    for (const { request } of recorded) {
      const answer = await this.#interceptor.send(request)
      const name = `${request.target.slice(request.target.lastIndexOf('/') + 1) === 'hello' ? 'hello' : 'message'} ` +
        `${answer.statusCode} ${codeOf(answer)}`
      counts[name.trim()] = (counts[name.trim()] ?? 0) + 1
    }
    return counts
  }

  /** Asks each copy on its own host: from others only peers may ask. */
  async #look (when: string): Promise<void> {
    const seen = await pollUntil('all copies to name one leader', timeoutMs, async () => {
      const statuses = await Promise.all(ids.map(async (id) => await this.#status(id)))
      const named = new Set(statuses.map(({ leader }) => leader?.id))
      return named.size === 1 && !named.has(undefined) ? statuses : null
    })
    this.#leaders.push({ when, seen: seen.map(({ leader, term }) => `${leader?.id} in term ${term}`) })
  }

  async #status (id: string): Promise<NodeStatus> {
    const script = `console.log(await (await fetch('http://127.0.0.1:${port}/_cluster/v1/status')).text())`
    const { stdout } = await run('ip', [
      'netns', 'exec', id, process.execPath, '--input-type=module', '-e', script
    ])
    return JSON.parse(stdout) as NodeStatus
  }

  #memberUrl (id: string): string {
    return id === 'n1' ? this.#interceptor.url : `http://${this.#hosts.address(id)}:${port}`
  }

  #node (id: string): RoutedNode {
    const node = this.#nodes.get(id)
    if (node === undefined) throw new Error(`There is no node ${id}`)
    return node
  }

  #logOf (id: string): string {
    return join(this.#directory, `${id}.log`)
  }
}

/** The lines that tell of another secret. */
function otherSecretLines (logFile: string): readonly string[] {
  return linesIn(logFile).map(textOf).filter((text) => text.includes('another secret'))
}

function textOf ({ msg, reason, err }: LogLine): string {
  return [msg, reason ?? err?.message].filter((part) => part !== undefined).join(': ')
}
