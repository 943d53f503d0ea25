import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import Fastify from 'fastify'
import { openEngine } from '../../src/plugin/engine-factory.ts'
import { createClusterPlugin } from '../../src/plugin/plugin.ts'
import { ClusterStateMachine } from '../../src/plugin/replicated/cluster-state-machine.ts'
import type { RaftEngine } from '../../src/raft/index.ts'
import type { MemberNonces } from '../../src/raft/trust/member-nonces.ts'
import { Nonce } from '../../src/raft/trust/nonce.ts'
import type { ProofRole } from '../../src/raft/trust/proof.ts'
import { fuzzSecretText } from './fuzz-secrets.ts'
import { HttpClient } from './http-client.ts'
import { turnsUntil } from './turns.ts'

/** What a handler of the application saw of a request. */
export interface Seen {
  readonly ip: string
  readonly internalFields: readonly string[]
}

/** A real application with a real node, alone in its cluster, that leads; behind a real server. */
export class AppNode {
  readonly app: FastifyInstance = Fastify({ keepAliveTimeout: 0 })
  /** The routes of the plugin, with their schemas. */
  readonly routes: RouteOptions[] = []
  /** The last request that a handler of the application got; null when none did. */
  seen: Seen | null = null
  #engine: RaftEngine | null = null
  #nonces: MemberNonces | null = null
  #ofGateways: Nonce | null = null
  #machine: ClusterStateMachine | null = null
  #client: HttpClient | null = null

  get engine (): RaftEngine {
    if (this.#engine === null) throw new Error('the application is not open')
    return this.#engine
  }

  /** What proofs of a role for this node are made with. */
  nonceOf (role: ProofRole): Nonce {
    if (this.#nonces === null || this.#ofGateways === null) throw new Error('the application is not open')
    return role === 'member' ? this.#nonces.own : this.#ofGateways
  }

  get client (): HttpClient {
    this.#client ??= new HttpClient((this.app.server.address() as AddressInfo).port)
    return this.#client
  }

  async open (): Promise<void> {
    const { app } = this
    app.addHook('onRoute', (route) => { this.routes.push(route) })
    await app.register(createClusterPlugin(async (request) => {
      this.#nonces = request.nonces
      if (request.stateMachine instanceof ClusterStateMachine) this.#machine = request.stateMachine
      this.#engine = await openEngine(request)
      return this.#engine
    }), { secret: fuzzSecretText })
    const handle = async ({ ip, raw }: FastifyRequest): Promise<string> => {
      const names = raw.rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase())
      this.seen = { ip, internalFields: names.filter((name) => name.startsWith('raft-')) }
      return 'served'
    }
    app.post('/forward', { forward: true }, handle)
    app.get('/forward', { forward: true }, handle)
    app.post('/leader', { leaderOnly: true }, handle)
    app.get('/plain', handle)
    app.post('/plain', handle)
    const origin = await app.listen({ port: 0, host: '127.0.0.1' })
    const refused = await fetch(`${origin}/plain`, { headers: { 'raft-proof': 'v=1;by=gateway;' } })
    this.#ofGateways = Nonce.parse(refused.headers.get('raft-nonce'))
    // The leader of a new cluster writes down who its members are.
    await turnsUntil(() => {
      const { members: [self], isSettled } = this.engine.membership()
      return self?.incarnation !== undefined && isSettled
    })
  }

  /** Who leads and belongs, and what the cluster holds. */
  signature (): string {
    const { term, leader, failure } = this.engine.status()
    const { members, version } = this.engine.membership()
    // Without the answers that are kept for idempotency keys: to say no to a write is an answer as well.
    const { maps, locks, fences } = this.#machine ?? {}
    return JSON.stringify([term, leader?.id, failure, members, version, lastingKeys(maps), locks, fences])
  }

  async close (): Promise<void> {
    this.#client?.close()
    await this.app.close()
  }
}

interface StoredMap {
  readonly name: string
  readonly values: ReadonlyArray<{ readonly key: string, readonly life?: unknown }>
}

/** Maps without the keys that end by themselves: they may do so while another input runs. */
function lastingKeys (maps: unknown): readonly StoredMap[] {
  const stored = JSON.parse(JSON.stringify(maps ?? [])) as readonly StoredMap[]
  return stored
    .map(({ name, values }) => ({ name, values: values.filter(({ life }) => life === undefined) }))
    .filter(({ values }) => values.length > 0)
}
