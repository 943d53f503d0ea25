import type { KeyObject } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { LeaderInfo } from '../../raft/index.ts'
import type { Attempt, ClientView } from './hop.ts'
import { createHopId, formatHop, proveHop } from './hop.ts'

/** Who sends hops, and what it knows of the nodes that it sends them to. */
export interface HopSender {
  /** The `from` of every hop. */
  readonly selfId: string
  /** UUID of the cluster of the node at a URL; undefined while it is not known. */
  readonly clusterUuidOf: (url: string) => string | undefined
  /** The key by which a member proves to a node that it is one; null for those who are none, or do not know it yet. */
  readonly hopKeyOf: (nodeId: string) => KeyObject | null
}

/** An attempt with its name. */
export type NamedAttempt = Attempt & { readonly id: string }

/** A hop as it is sent. */
export interface SentHop {
  readonly value: string
  /** Whether the receiver believes what it says of the client. */
  readonly isProven: boolean
}

/** A new attempt at the node of a URL. */
export function createAttempt (sender: HopSender, url: string): NamedAttempt {
  const cluster = sender.clusterUuidOf(url)
  return cluster === undefined ? { id: createHopId() } : { id: createHopId(), cluster }
}

/** The hop of an attempt to have the request of a client answered by the leader. */
export function writeHop (
  { selfId, hopKeyOf }: HopSender,
  leader: LeaderInfo,
  attempt: NamedAttempt,
  client: IncomingMessage
): SentHop {
  const hop = { from: selfId, to: leader.id, term: leader.term, ...attempt }
  const key = hopKeyOf(leader.id)
  return key === null
    ? { value: formatHop(hop), isProven: false }
    : { value: proveHop(hop, viewOf(client), key), isProven: true }
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
