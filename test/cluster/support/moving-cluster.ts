import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child } from '../../../src/cli/local/child.ts'
import type { NodeStatus } from '../../../src/cli/local/local-cluster.ts'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { allEntries, type KvEntry } from './kv-client.ts'
import { send } from './requests.ts'

/** A process that is a member or is joining. */
export interface MovingNode {
  readonly id: string
  readonly url: string
  readonly dataDir: string
  readonly child: Child
}

/** The part of the answer of `GET v1/members` that is used here. */
interface MembersAnswer {
  readonly members: ReadonlyArray<{ readonly id: string, readonly role: string }>
}

const readyTimeoutMs = 30_000
const changeTimeoutMs = 30_000
const settleTimeoutMs = 60_000
const stopGraceMs = 6_000
const requestTimeoutMs = 2_000

/** Real processes that join and leave: the first ones start a cluster, the others join it. Oldest member first. */
export class MovingCluster {
  readonly members: MovingNode[] = []
  readonly directory: string
  readonly #program: string
  readonly #urls: ReadonlyMap<string, string>
  readonly #nodeArguments: readonly string[]
  #starts = 0

  /** Starts `size` of `places` nodes; each place keeps its id and its port. `nodeArguments` are for every node. */
  static async start (
    program: string,
    size: number,
    places: number,
    nodeArguments: readonly string[] = []
  ): Promise<MovingCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-moving-'))
    const ports = await freePorts(places)
    const cluster = new MovingCluster(
      program,
      directory,
      new Map(ports.map((port, at) => [`n${at + 1}`, `http://127.0.0.1:${port}`])),
      nodeArguments
    )
    try {
      await cluster.#startFirst(size)
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  private constructor (
    program: string,
    directory: string,
    urls: ReadonlyMap<string, string>,
    nodeArguments: readonly string[]
  ) {
    this.#program = program
    this.directory = directory
    this.#urls = urls
    this.#nodeArguments = nodeArguments
  }

  /** Ids that no member has. */
  get freeIds (): readonly string[] {
    return [...this.#urls.keys()].filter((id) => this.members.every((member) => member.id !== id))
  }

  /** Starts a node on an empty directory that joins, and resolves when it is a voter that has caught up. */
  async grow (id: string): Promise<MovingNode> {
    const node = this.launchJoiner(id)
    await this.ready(node)
    return node
  }

  /** Starts a node on an empty directory that joins, and does not wait for it. */
  launchJoiner (id: string): MovingNode {
    const node = this.#launch(id, ['--join', this.members.map(({ url }) => url).join(','), '--url', this.#url(id)])
    this.members.push(node)
    return node
  }

  /** Resolves when a node is ready, and rejects when it ends before. */
  async ready ({ id, url, child }: MovingNode): Promise<void> {
    await pollUntil(`${id} to be ready`, readyTimeoutMs, async () => {
      if (!child.running) throw new Error(`${id} ended while it was starting:\n${child.logTail()}`)
      return await getJson(`${url}/_cluster/v1/readyz`, requestTimeoutMs)
    })
  }

  /** Removes a member through another one, kills it and wipes its directory. */
  async shrink (id: string): Promise<void> {
    const node = this.members.find((member) => member.id === id)
    if (node === undefined) throw new Error(`${id} is no member`)
    this.members.splice(this.members.indexOf(node), 1)
    await pollUntil(`${id} to be removed`, changeTimeoutMs, async () => {
      const status = await this.#remove(id)
      // The answer of an earlier removal was lost.
      return status === 200 || status === 404 ? true : null
    })
    await node.child.kill('SIGKILL')
    await rm(node.dataDir, { recursive: true, force: true })
  }

  /** Tells a member to stop, and wipes its directory once it has closed. Rejects unless it has closed in good order. */
  async stopMember (id: string): Promise<void> {
    const node = this.members.find((member) => member.id === id)
    if (node === undefined) throw new Error(`${id} is no member`)
    this.members.splice(this.members.indexOf(node), 1)
    const { code, signal } = await node.child.stop(stopGraceMs)
    if (code !== 0) throw new Error(`${id} ended with ${code ?? signal}:\n${node.child.logTail()}`)
    await rm(node.dataDir, { recursive: true, force: true })
  }

  /** Ids of the voters, sorted, as each member knows them. */
  async voters (): Promise<readonly string[]> {
    return await Promise.all(this.members.map(async ({ url }) => {
      const answer = await getJson<MembersAnswer>(`${url}/_cluster/v1/members?read=linearizable`, changeTimeoutMs)
      return answer?.members.filter(({ role }) => role === 'voter').map(({ id }) => id).sort().join() ?? 'unknown'
    }))
  }

  /** The applied entries of each member, as soon as all of them have applied everything committed. */
  async settledEntries (): Promise<Map<string, readonly KvEntry[]>> {
    const goal = await pollUntil('the leader to tell its state', settleTimeoutMs, async () => {
      const leader = (await Promise.all(this.members.map(async (node) => await this.#status(node)))).find(
        (status) => status?.role === 'leader'
      )
      const url = this.members.find(({ id }) => id === leader?.nodeId)?.url
      // After the linearizable read every acknowledged write is committed and known.
      return url === undefined || (await allEntries(url, 'linearizable')) === null
        ? null
        : await getJson<NodeStatus>(`${url}/_cluster/v1/status`, requestTimeoutMs)
    })
    const stored = new Map<string, readonly KvEntry[]>()
    for (const node of this.members) {
      await pollUntil(`${node.id} to catch up`, settleTimeoutMs, async () =>
        ((await this.#status(node))?.appliedIndex ?? -1) >= goal.commitIndex ? true : null
      )
      stored.set(
        node.id,
        await pollUntil(
          `${node.id} to tell its entries`,
          settleTimeoutMs,
          async () => await allEntries(node.url, 'local')
        )
      )
    }
    return stored
  }

  /** Stops everything and removes its data. */
  async stop (): Promise<void> {
    await Promise.all(this.members.map(async ({ child }) => await child.stop(stopGraceMs)))
    await rm(this.directory, { recursive: true, force: true })
  }

  async #startFirst (size: number): Promise<void> {
    const ids = [...this.#urls.keys()].slice(0, size)
    const members = ids.map((id) => `${id}=${this.#url(id)}`).join(',')
    for (const id of ids) this.members.push(this.#launch(id, ['--members', members]))
    await Promise.all(
      this.members.map(async (node) => {
        await this.ready(node)
      })
    )
  }

  #launch (id: string, more: readonly string[]): MovingNode {
    const url = this.#url(id)
    const dataDir = join(this.directory, id)
    const args = [this.#program, 'node', '--id', id, '--listen', new URL(url).host, '--data-dir', dataDir, ...more, ...this.#nodeArguments]
    const child = new Child({ name: id, args, logFile: join(this.directory, `${id}-${++this.#starts}.log`) })
    child.start()
    return { id, url, dataDir, child }
  }

  async #remove (id: string): Promise<number | null> {
    const asked = this.members.at(-1)
    const answer = await send('DELETE', `${asked?.url}/_cluster/v1/members/${id}`, undefined, changeTimeoutMs).catch(
      () => null
    )
    return answer?.status ?? null
  }

  async #status ({ url }: MovingNode): Promise<NodeStatus | null> {
    return await getJson<NodeStatus>(`${url}/_cluster/v1/status`, requestTimeoutMs)
  }

  #url (id: string): string {
    const url = this.#urls.get(id)
    if (url === undefined) throw new Error(`There is no place ${id}`)
    return url
  }
}
