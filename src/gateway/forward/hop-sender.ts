import type { IncomingMessage } from 'node:http'
import type { LeaderInfo } from '../../raft/index.ts'
import type { ClientView, Nonce, Prover, SentProof } from '../../raft/internal.ts'
import { proofField } from '../../raft/internal.ts'
import type { Attempt, Hop, HopTime } from './hop.ts'
import { attemptHeader, formatAttempt, formatHop, hopHeader } from './hop.ts'
import type { Upstream } from './upstreams.ts'

/** Who sends hops, and what it knows of the nodes that it sends them to. */
export interface HopSender {
  /** The `from` of every hop. */
  readonly selfId: string
  /** UUID of the cluster of the node at a URL; undefined while it is not known. */
  readonly clusterUuidOf: (url: string) => string | undefined
  /** Names requests, and proves that they come from here. */
  readonly prover: Prover
  readonly nonces: UpstreamNonces
  /** What the clock of a leader shows by now at least, in whole milliseconds; null while nothing is known of it. */
  readonly clockOf: (leader: LeaderInfo) => number | null
}

/** The nonces of the nodes that hops go to. */
interface UpstreamNonces {
  /** Null while it is not known. */
  readonly of: (upstream: Upstream) => Nonce | null
  /** Takes what the node itself has told. */
  readonly learn: (upstream: Upstream, nonce: Nonce) => void
}

/** An attempt with its name. */
export type NamedAttempt = Attempt & { readonly id: string }

/** The fields that this process adds to a request which it forwards. */
export interface OwnFields {
  /** Names and values in turn. */
  readonly lines: readonly string[]
  /** Null when nothing is proven: the receiver does not believe what it is told of the client then. */
  readonly proof: SentProof | null
}

/** What is sent in the name of a client. */
interface ForwardedMessage {
  readonly method: string
  readonly target: string
  readonly client: IncomingMessage
  /** Id of the node whose own call it is. */
  readonly caller?: string
  /** Of a body that is known as a whole. */
  readonly bodyHash?: string
  /** Whether an earlier attempt may have been executed, and the key of the request is all that makes this one safe. */
  readonly isKeyedRepeat?: boolean
  /** Time left until the sender gives up, in milliseconds; infinite when that is not known yet. */
  readonly leftMs: number
}

/** A new attempt at the node of a URL. */
export function createAttempt ({ clusterUuidOf, prover }: HopSender, url: string): NamedAttempt {
  const cluster = clusterUuidOf(url)
  return cluster === undefined ? { id: prover.nextId() } : { id: prover.nextId(), cluster }
}

/**
 * What says to a node that a request is forwarded to it: as the leader of a term, or as any node that can answer. With
 * a proof, where there is something to prove with, it says where the request came from.
 */
export function ownFields (
  { selfId, prover, nonces, clockOf }: HopSender,
  upstream: Upstream,
  attempt: NamedAttempt,
  { method, target, client, caller, bodyHash, isKeyedRepeat, leftMs }: ForwardedMessage
): OwnFields {
  const { leader } = upstream
  const [name, value] = leader === null
    ? [attemptHeader, formatAttempt(attempt)]
    : [hopHeader, formatHop(hopOf(selfId, leader, attempt, isKeyedRepeat, timeOf(clockOf(leader), leftMs)))]
  const proof = prover.prove(
    nonces.of(upstream),
    { method, target, hop: leader === null ? '' : value, attempt: leader === null ? value : '', cluster: '' },
    {
      id: attempt.id,
      client: viewOf(client),
      ...(caller === undefined ? {} : { caller }),
      ...(bodyHash === undefined ? {} : { bodyHash })
    }
  )
  return { lines: proof === null ? [name, value] : [name, value, proofField, proof.field], proof }
}

function hopOf (
  from: string,
  { id: to, term }: LeaderInfo,
  attempt: NamedAttempt,
  isKeyedRepeat: boolean | undefined,
  time: HopTime | null
): Hop {
  const hop: Hop = time === null ? { from, to, term, ...attempt } : { from, to, term, ...attempt, time }
  return isKeyedRepeat === true ? { ...hop, keyed: true } : hop
}

function timeOf (clockMs: number | null, leftMs: number): HopTime | null {
  if (leftMs === Infinity) return null
  const left = Math.floor(leftMs)
  return clockMs === null ? { leftMs: left } : { leftMs: left, sentAtMs: clockMs }
}

function viewOf ({ socket }: IncomingMessage): ClientView {
  return {
    address: socket.remoteAddress ?? '',
    port: socket.remotePort ?? 0,
    isTls: isTlsSocket(socket)
  }
}

/** Whether the connection of a request is encrypted. */
export function isTlsSocket (socket: object): boolean {
  return 'encrypted' in socket
}
