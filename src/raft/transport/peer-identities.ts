import type { Message, NodeId } from '../core/index.ts'
import type { Address } from './codec.ts'

/** What the transport has to know about the logs that stand behind the names of members. */
export interface PeerIdentities {
  /** Incarnation of this node's log. */
  readonly own: string
  /** Incarnation that a member is expected to have; empty when any will do. */
  of: (id: NodeId) => string
  /** Throws `RAFT_WRONG_INCARNATION` when an answer does not come from the member that was asked. */
  checkAnswer: (address: Address) => void
  /** Throws `RAFT_WRONG_INCARNATION` when a request means another log of this node, or comes from an unexpected one. */
  checkRequest: (address: Address, said: readonly Message[] | 'snapshot') => void
}
