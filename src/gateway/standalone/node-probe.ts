import { setTimeout as sleep } from 'node:timers/promises'
import type { LeaderInfo, Logger, TlsSource } from '../../raft/index.ts'
import { OtherSecretError, UnauthenticatedError, UnauthorizedError } from '../../raft/index.ts'
import type { ClockReadings, KnownNonces, Prover } from '../../raft/internal.ts'
import { codeIn, connectOptions, RenewedPool, undici } from '../../raft/internal.ts'
import { clockHeader, clusterHeader } from '../forward/hop.ts'
import { callWithProof } from '../forward/proven-call.ts'
import type { AdminHeaders } from '../options/admin-headers.ts'
import { flatHeaders } from '../options/admin-headers.ts'
import type { ToldMembership } from './watch-answer.ts'
import { readClaim, readWatchAnswer } from './watch-answer.ts'

/** The last known state of a node. */
export interface NodeView {
  /** Origin of the node. */
  readonly url: string
  /** The identity that it gave itself; null until it has. */
  readonly id: string | null
  /** UUID of the cluster that it says it belongs to; null until it has. */
  readonly clusterUuid: string | null
  /** Name of that cluster; null until it has told. */
  readonly clusterId: string | null
  /** Who belongs to that cluster, as it last said; null until it has. */
  readonly membership: ToldMembership | null
  /** Whether it has been asked once, whatever came of it. */
  readonly hasTried: boolean
  /** How long its answers to probes take, a moving average in milliseconds; null until there was one. */
  readonly latencyMs: number | null
  /** Whether it tells of changes by itself. */
  readonly isWatched: boolean
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
  /** The name that its certificate has to have, when that is not the host of the URL. */
  readonly serverName: string | null
  readonly prefix: string
  readonly timeoutMs: number
  readonly tls: TlsSource
  readonly adminHeaders: AdminHeaders
  /** Proves its questions, where it has something to prove with, and asks for the proof of the answers then. */
  readonly prover: Prover
  /** What the nodes have told, by URL. */
  readonly nonces: KnownNonces
  /** Gets what the clocks of leaders show, by URL. */
  readonly clocks: Pick<ClockReadings, 'note'>
  /** Milliseconds until the next round, asked after each one. */
  readonly pauseMs: () => number
  readonly onChange: () => void
  readonly logger: Logger | undefined
}

/** The answer of one admin route. */
interface ProbeAnswer {
  readonly statusCode: number
  readonly nodeId: string | null
  readonly clusterUuid: string | null
  /** What its monotonic clock showed; null when it does not say. */
  readonly clockMs: number | null
  readonly body: string
  /** Whether it comes from a node, as far as that can be proven: nothing in it counts otherwise. */
  readonly isProven: boolean
}

const otherSecretCode = new OtherSecretError().code
/** Codes of nodes to which nothing proves who asks. */
const unprovenCodes: readonly string[] = [new UnauthenticatedError('').code, new UnauthorizedError('').code]

/** Answers of the admin routes are small; a larger one counts as none. */
const maxAnswerBytes = 131_072

/** How long a node may hold a watch, in milliseconds. */
const watchMs = 20_000
/** Pause after a watch that a node does not serve, in milliseconds: it may be of an earlier release, or busy. */
const unwatchedMs = 5_000
/** Share of the last answer in the average of latencies. */
const latencyShare = 0.2

/**
 * Follows one node: it is watched, so that it tells at once when another leader is known, a member comes or goes, or it
 * takes no more requests; and it is asked at intervals whether it is ready and who leads, since a node that is gone
 * tells nothing.
 */
export class NodeProbe {
  readonly #options: NodeProbeOptions
  readonly #pool: RenewedPool
  readonly #stopping = new AbortController()
  #view: NodeView
  #wake: (() => void) | null = null
  #wakeRequested = false
  /** Counts what is newer than a probe under way. */
  #news = 0
  /** How the node refused the question for the leader; null while it answers. */
  #refusedWith: string | null = null
  #loop: Promise<unknown> = Promise.resolve()
  /** Ends the pause of the watch. */
  #reached: (() => void) | null = null

  constructor (options: NodeProbeOptions) {
    this.#options = options
    this.#view = {
      url: options.url,
      id: null,
      clusterUuid: null,
      clusterId: null,
      membership: null,
      hasTried: false,
      latencyMs: null,
      isWatched: false,
      ...unreachable
    }
    this.#pool = new RenewedPool(options.url, options.tls, (material) => ({
      connections: 4,
      pipelining: 1,
      connect: {
        ...connectOptions(options.timeoutMs, material, null),
        ...(options.serverName === null ? {} : { servername: options.serverName })
      },
      headersTimeout: options.timeoutMs,
      bodyTimeout: options.timeoutMs,
      maxResponseSize: maxAnswerBytes
    }))
  }

  get view (): NodeView {
    return this.#view
  }

  start (): void {
    this.#loop = Promise.all([this.#run(), this.#watch()])
  }

  async stop (): Promise<void> {
    this.#stopping.abort()
    this.#wake?.()
    this.#reached?.()
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
    this.#news++
    this.#update({ ...this.#view, ...unreachable })
    this.refresh()
  }

  async #run (): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#wakeRequested = false
      const news = this.#news
      const found = await this.#probe()
      if (this.#stopping.signal.aborted) return
      // The view of now: a watch may have told of more meanwhile.
      if (news === this.#news) this.#update({ ...this.#view, ...found, hasTried: true })
      await this.#pause()
    }
  }

  async #watch (): Promise<void> {
    const { signal } = this.#stopping
    let tag = ''
    while (!signal.aborted) {
      if (!this.#view.reachable) {
        await new Promise<void>((resolve) => { this.#reached = resolve })
        this.#reached = null
        continue
      }
      const told = await this.#askForChange(tag)
      if (signal.aborted) return
      // It has told nothing new before the time: no reason to ask again at once.
      if (told === null || told.tag === tag) await delay(told === null ? unwatchedMs : this.#options.pauseMs(), signal)
      tag = told?.tag ?? ''
    }
  }

  /** Waits until the node tells something else than at the tag; null when it does not. */
  async #askForChange (tag: string): Promise<{ readonly tag: string } | null> {
    const { url, prefix, timeoutMs, logger } = this.#options
    try {
      const path = `${prefix}/v1/watch?after=${tag}&waitMs=${tag === '' ? 0 : watchMs}`
      const answer = await this.#get(path, this.#stopping.signal, watchMs + timeoutMs)
      const told = answer.isProven && answer.statusCode === 200 ? readWatchAnswer(answer.body) : null
      if (told === null) {
        this.#update({ ...this.#view, isWatched: false })
        return null
      }
      const { clusterId, membership, ready, claim } = told
      const known = { ...this.#view, ...identityOf(answer, this.#view), clusterId, membership, isWatched: true }
      // Probes under way are older than this; a request that has failed meanwhile is newer.
      if (known.reachable) this.#news++
      this.#update(known.reachable ? { ...known, ready, claim } : known)
      return told
    } catch (error) {
      logger?.debug({ err: error, url }, 'the watch of a node was lost')
      this.#update({ ...this.#view, isWatched: false })
      // It ended with the node, if that is gone.
      this.refresh()
      return { tag: '' }
    }
  }

  async #pause (): Promise<void> {
    if (this.#wakeRequested || this.#stopping.signal.aborted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#options.pauseMs())
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = null
  }

  async #probe (): Promise<Partial<NodeView>> {
    const { url, prefix, timeoutMs } = this.#options
    const startedAtMs = performance.now()
    // One signal for both: a node that answers only one of the two is not well.
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(timeoutMs)])
    try {
      const [ready, leader] = await Promise.all([
        this.#get(`${prefix}/v1/readyz`, signal, timeoutMs),
        this.#get(`${prefix}/v1/leader`, signal, timeoutMs)
      ])
      this.#noteRefusal(leader)
      if (!leader.isProven || !ready.isProven) return unreachable
      const tookMs = performance.now() - startedAtMs
      const { latencyMs } = this.#view
      const claim = leader.statusCode === 200 ? readClaim(leader.body) : null
      // Of its own leadership alone: in that term no other process has been this node.
      if (claim !== null && claim.id === leader.nodeId && leader.clockMs !== null) {
        this.#options.clocks.note(url, claim.term, leader.clockMs)
      }
      return {
        ...identityOf(leader, identityOf(ready, this.#view)),
        latencyMs: latencyMs === null ? tookMs : latencyMs + latencyShare * (tookMs - latencyMs),
        reachable: true,
        ready: ready.statusCode === 200,
        claim
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

  async #get (path: string, signal: AbortSignal, timeoutMs: number): Promise<ProbeAnswer> {
    const { url, adminHeaders } = this.#options
    const call = { method: 'GET', path, body: null, cluster: '' } as const
    const { answer, isProven } = await callWithProof(this.#options, url, call, async (proofLines) => {
      const { statusCode, headers, body } = await undici.request.call(this.#pool.current, {
        method: call.method,
        path,
        headers: [...flatHeaders(adminHeaders), ...proofLines],
        headersTimeout: timeoutMs,
        signal
      })
      return { statusCode, headers, text: await body.text() }
    })
    const { 'raft-node': nodeId, [clusterHeader]: uuid, [clockHeader]: clock } = answer.headers
    return {
      statusCode: answer.statusCode,
      nodeId: typeof nodeId === 'string' && nodeId !== '' ? nodeId : null,
      clusterUuid: typeof uuid === 'string' && /^[\w-]{1,64}$/.test(uuid) ? uuid : null,
      clockMs: typeof clock === 'string' && /^\d{1,15}$/.test(clock) ? Number(clock) : null,
      body: answer.text,
      isProven
    }
  }

  #update (view: NodeView): void {
    const before = this.#view
    this.#view = view
    if (view.reachable) this.#reached?.()
    const same =
      before.id === view.id &&
      before.hasTried === view.hasTried &&
      before.membership?.version === view.membership?.version &&
      before.membership?.members.length === view.membership?.members.length &&
      before.clusterUuid === view.clusterUuid &&
      before.reachable === view.reachable &&
      before.ready === view.ready &&
      before.claim?.id === view.claim?.id &&
      before.claim?.url === view.claim?.url &&
      before.claim?.term === view.claim?.term
    if (!same) this.#options.onChange()
  }
}

const unreachable = { reachable: false, ready: false, claim: null } as const

/** Who a node says it is; as before where it says nothing. */
function identityOf (
  { nodeId, clusterUuid }: ProbeAnswer,
  before: Pick<NodeView, 'id' | 'clusterUuid'>
): Pick<NodeView, 'id' | 'clusterUuid'> {
  return { id: nodeId ?? before.id, clusterUuid: clusterUuid ?? before.clusterUuid }
}

async function delay (ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {})
}
