import type { LeaderInfo, Logger, TlsSource } from '../../raft/index.ts'
import { connectOptions, RenewedPool } from '../../raft/internal.ts'
import { clusterHeader } from '../forward/hop.ts'
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
}

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
  /** The status that the node refused the question for the leader with; null while it answers. */
  #refusedWith: number | null = null
  #loop: Promise<void> = Promise.resolve()

  constructor (options: NodeProbeOptions) {
    this.#options = options
    this.#view = { url: options.url, id: null, clusterUuid: null, reachable: false, ready: false, claim: null }
    this.#pool = new RenewedPool(options.url, options.tls, (material) => ({
      connections: 4,
      pipelining: 1,
      connect: connectOptions(options.timeoutMs, material, null),
      allowH2: false,
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
      this.#noteRefusal(leader.statusCode)
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
  #noteRefusal (statusCode: number): void {
    const refusedWith = statusCode === 200 || statusCode === 503 ? null : statusCode
    if (refusedWith !== null && refusedWith !== this.#refusedWith) {
      this.#options.logger?.warn(
        { url: this.#options.url, statusCode },
        'a node does not say who leads: it refuses the question, or something in front of it does'
      )
    }
    this.#refusedWith = refusedWith
  }

  async #get (path: string, signal: AbortSignal): Promise<ProbeAnswer> {
    const { statusCode, headers, body } = await this.#pool.current.request({
      method: 'GET',
      path,
      headers: flatHeaders(this.#options.adminHeaders),
      signal
    })
    const nodeId = headers['raft-node']
    const uuid = headers[clusterHeader]
    return {
      statusCode,
      nodeId: typeof nodeId === 'string' && nodeId !== '' ? nodeId : null,
      clusterUuid: typeof uuid === 'string' && /^[\w-]{1,64}$/.test(uuid) ? uuid : null,
      body: await body.text()
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
