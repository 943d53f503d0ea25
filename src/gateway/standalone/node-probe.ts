import type { LeaderInfo, Logger, TlsSource } from '../../raft/index.ts'
import { OtherSecretError, UnauthenticatedError, UnauthorizedError } from '../../raft/index.ts'
import type { KnownNonces, Prover } from '../../raft/internal.ts'
import { codeIn, connectOptions, RenewedPool } from '../../raft/internal.ts'
import { clusterHeader } from '../forward/hop.ts'
import { callWithProof } from '../forward/proven-call.ts'
import type { AdminHeaders } from '../options/admin-headers.ts'
import { flatHeaders } from '../options/admin-headers.ts'

/** The last known state of a node. */
export interface NodeView {
  /** Origin of the node, as configured. */
  readonly url: string
  /** The identity that it gave itself; null until it has. */
  readonly id: string | null
  /** UUID of the cluster that it says it belongs to; null until it has. */
  readonly clusterUuid: string | null
  /** Whether the last probe got an answer. */
  readonly reachable: boolean
  /** Whether it takes requests, by its `readyz`. */
  readonly ready: boolean
  /** The leader that it names; null when it knows of none. */
  readonly claim: LeaderInfo | null
}

/** Options of a {@link NodeProbe}. */
interface NodeProbeOptions {
  readonly url: string
  readonly prefix: string
  readonly timeoutMs: number
  readonly tls: TlsSource
  readonly adminHeaders: AdminHeaders
  /** Proves its questions, where it has something to prove with, and asks for the proof of the answers then. */
  readonly prover: Prover
  /** What the nodes have told, by URL. */
  readonly nonces: KnownNonces
  /** Milliseconds until the next round, asked after each one. */
  readonly pauseMs: (view: NodeView) => number
  readonly onChange: () => void
  readonly logger: Logger | undefined
}

/** The answer of one admin route. */
interface ProbeAnswer {
  readonly statusCode: number
  readonly nodeId: string | null
  readonly clusterUuid: string | null
  readonly body: string
  /** Whether it comes from a node, as far as that can be proven: nothing in it counts otherwise. */
  readonly isProven: boolean
}

const otherSecretCode = new OtherSecretError().code
/** Codes of nodes to which nothing proves who asks. */
const unprovenCodes: readonly string[] = [new UnauthenticatedError('').code, new UnauthorizedError('').code]

/** Answers of the admin routes are small; a larger one counts as none. */
const maxAnswerBytes = 65_536

/** Asks one node at intervals whether it is ready and who leads. */
export class NodeProbe {
  readonly #options: NodeProbeOptions
  readonly #pool: RenewedPool
  readonly #stopping = new AbortController()
  #view: NodeView
  #wake: (() => void) | null = null
  #wakeRequested = false
  #suspicions = 0
  /** How the node refused the question for the leader; null while it answers. */
  #refusedWith: string | null = null
  #loop: Promise<void> = Promise.resolve()

  constructor (options: NodeProbeOptions) {
    this.#options = options
    this.#view = { url: options.url, id: null, clusterUuid: null, reachable: false, ready: false, claim: null }
    this.#pool = new RenewedPool(options.url, options.tls, (material) => ({
      connections: 4,
      pipelining: 1,
      connect: connectOptions(options.timeoutMs, material, null),
      headersTimeout: options.timeoutMs,
      bodyTimeout: options.timeoutMs,
      maxResponseSize: maxAnswerBytes
    }))
  }

  get view (): NodeView {
    return this.#view
  }

  start (): void {
    this.#loop = this.#run()
  }

  async stop (): Promise<void> {
    this.#stopping.abort()
    this.#wake?.()
    await this.#pool.destroy()
    await this.#loop
  }

  /** Asks at once instead of at the end of the pause. */
  refresh (): void {
    this.#wakeRequested = true
    this.#wake?.()
  }

  /** Counts as out of reach until a probe that starts after this one answers. */
  suspect (): void {
    this.#suspicions++
    this.#update({ ...this.#view, reachable: false, ready: false, claim: null })
    this.refresh()
  }

  async #run (): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#wakeRequested = false
      const suspicions = this.#suspicions
      const view = await this.#probe()
      if (this.#stopping.signal.aborted) return
      if (suspicions === this.#suspicions) this.#update(view)
      await this.#pause()
    }
  }

  async #pause (): Promise<void> {
    if (this.#wakeRequested || this.#stopping.signal.aborted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#options.pauseMs(this.#view))
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = null
  }

  async #probe (): Promise<NodeView> {
    const { url, prefix } = this.#options
    const { id, clusterUuid } = this.#view
    const unreachable: NodeView = { url, id, clusterUuid, reachable: false, ready: false, claim: null }
    // One signal for both: a node that answers only one of the two is not well.
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(this.#options.timeoutMs)])
    try {
      const [ready, leader] = await Promise.all([
        this.#get(`${prefix}/v1/readyz`, signal),
        this.#get(`${prefix}/v1/leader`, signal)
      ])
      this.#noteRefusal(leader)
      if (!leader.isProven || !ready.isProven) return unreachable
      return {
        url,
        id: leader.nodeId ?? ready.nodeId ?? id,
        clusterUuid: leader.clusterUuid ?? ready.clusterUuid ?? clusterUuid,
        reachable: true,
        ready: ready.statusCode === 200,
        claim: leader.statusCode === 200 ? readClaim(leader.body) : null
      }
    } catch (error) {
      this.#options.logger?.debug({ err: error, url }, 'node did not answer the probe')
      return unreachable
    }
  }

  /** A node that answers with neither a leader nor "none" is of no use: logged once, until its answer changes. */
  #noteRefusal ({ statusCode, body, isProven }: ProbeAnswer): void {
    const code = codeIn(body)
    const isAnswer = isProven && (statusCode === 200 || statusCode === 503)
    const refusedWith = isAnswer ? null : `${statusCode} ${code ?? ''}`
    if (refusedWith !== null && refusedWith !== this.#refusedWith) {
      const said = { url: this.#options.url, statusCode, ...(code === null ? {} : { code }) }
      this.#options.logger?.warn(said, this.#reasonOf(code, isProven))
    }
    this.#refusedWith = refusedWith
  }

  #reasonOf (code: string | null, isProven: boolean): string {
    if (code === otherSecretCode) {
      return 'a node has another secret than this gateway: give the gateway the one that "fastify-raft secret --for ' +
        'gateway" makes of the secret of the nodes'
    }
    if (code !== null && unprovenCodes.includes(code)) {
      return 'a node does not say who leads, since nothing proves who asks: give the gateway what "fastify-raft ' +
        'secret --for gateway" makes, a certificate that the nodes name in tls.gateways, or a token'
    }
    return isProven
      ? 'a node does not say who leads: it refuses the question, or something in front of it does'
      : 'a node does not prove that it has the secret: it has none, or something in front of it answers'
  }

  async #get (path: string, signal: AbortSignal): Promise<ProbeAnswer> {
    const { url, adminHeaders } = this.#options
    const call = { method: 'GET', path, body: null, cluster: '' } as const
    const { answer, isProven } = await callWithProof(this.#options, url, call, async (proofLines) => {
      const { statusCode, headers, body } = await this.#pool.current.request({
        method: call.method,
        path,
        headers: [...flatHeaders(adminHeaders), ...proofLines],
        signal
      })
      return { statusCode, headers, text: await body.text() }
    })
    const { 'raft-node': nodeId, [clusterHeader]: uuid } = answer.headers
    return {
      statusCode: answer.statusCode,
      nodeId: typeof nodeId === 'string' && nodeId !== '' ? nodeId : null,
      clusterUuid: typeof uuid === 'string' && /^[\w-]{1,64}$/.test(uuid) ? uuid : null,
      body: answer.text,
      isProven
    }
  }

  #update (view: NodeView): void {
    const before = this.#view
    this.#view = view
    const same =
      before.id === view.id &&
      before.clusterUuid === view.clusterUuid &&
      before.reachable === view.reachable &&
      before.ready === view.ready &&
      before.claim?.id === view.claim?.id &&
      before.claim?.url === view.claim?.url &&
      before.claim?.term === view.claim?.term
    if (!same) this.#options.onChange()
  }
}

/** Reads `{id, url, term}`; null for anything else. The URL is a hint to be matched, never an address to be called. */
function readClaim (text: string): LeaderInfo | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const { id, url, term } = value as Record<string, unknown>
  if (typeof id !== 'string' || id === '' || id.length > 256 || typeof url !== 'string' || url.length > 2_048) {
    return null
  }
  if (typeof term !== 'number' || !Number.isSafeInteger(term) || term < 1) return null
  return { id, url, term }
}
