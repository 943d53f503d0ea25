import type { Message, NodeId } from '../core/index.ts'
import type { ForwardAnswer } from './codec.ts'

/** What a transport reports to its node. */
export interface TransportEvents {
  /** Answers of a peer to what was sent to it. */
  readonly answersReceived: (from: NodeId, messages: readonly Message[]) => void
  /** Appends to this peer were lost. */
  readonly peerUnreachable: (peer: NodeId) => void
}

/**
 * Carries messages to peers: unreliable, unordered between lanes, never blocking, bounded in memory.
 */
export interface Transport {
  readonly send: (messages: readonly Message[]) => void
  /**
   * Hands commands to another node for its log. A rejection means that they may or may not have arrived.
   */
  readonly forward: (to: NodeId, commands: readonly Uint8Array[]) => Promise<ForwardAnswer>
  readonly close: () => Promise<void>
}

/** What a node offers to the routes that its peers call. */
export interface PeerEndpoint {
  /**
   * Takes messages and resolves with the answers for the sender. `waitForDisk` holds the answer back until those that
   * are promises about this disk can be part of it; otherwise they travel on their own.
   */
  readonly receive: (messages: readonly Message[], waitForDisk: boolean) => Promise<readonly Message[]>
  /** Appends forwarded commands if this node leads. */
  readonly acceptForwarded: (commands: readonly Uint8Array[]) => ForwardAnswer
}
