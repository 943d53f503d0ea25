import type { ClusterMark, Message, NodeId } from '../core/index.ts'
import { isForeign, isOfOtherCluster } from '../core/index.ts'
import { OtherClusterError } from '../errors.ts'
import type { Logger } from '../runtime/logger.ts'
import { otherClusterError } from '../runtime/refusal.ts'
import type { Address } from '../transport/codec.ts'
import type { ClusterIdentity } from '../transport/transport.ts'

/** What a node knows about its cluster; see `RaftCore`. */
interface OwnClusterNode {
  readonly clusterMark: ClusterMark | undefined
  readonly knownCluster: string | undefined
}

/** Peers whose refusal is remembered, and logged, at most: anybody can invent more. */
const maxRefused = 100

/** Options of {@link OwnCluster}. */
interface OwnClusterOptions {
  readonly nodeId: NodeId
  readonly clusterId: string
  readonly node: OwnClusterNode
  readonly logger: Logger
}

/**
 * Refuses the nodes of another cluster of the same name, by name, before anything that they send reaches this node. The
 * rules are those of the core, which would ignore their messages without a word; commands and snapshots are judged here
 * alone.
 */
export class OwnCluster implements ClusterIdentity {
  readonly #options: OwnClusterOptions
  /** Peers that were refused, by what they named; each is logged once. */
  readonly #refused = new Map<NodeId, string>()

  constructor (options: OwnClusterOptions) {
    this.#options = options
  }

  mark (): ClusterMark | undefined {
    return this.#options.node.clusterMark
  }

  checkAnswer ({ from, cluster }: Address): void {
    if (isOfOtherCluster(this.#options.node.knownCluster, cluster)) throw this.#refuse(from, cluster)
  }

  checkRequest ({ from, cluster }: Address, messages: readonly Message[]): void {
    const own = this.#options.node.knownCluster
    if (isOfOtherCluster(own, cluster) || messages.some((message) => isForeign(own, message))) {
      throw this.#refuse(from, cluster)
    }
    if (this.#refused.size > 0) this.#refused.delete(from)
  }

  #refuse (from: NodeId, mark: ClusterMark | undefined): Error {
    const { nodeId, clusterId, node, logger } = this.#options
    const isOther = mark?.isCommitted === true
    const named = isOther ? mark.uuid : ''
    const isKnown = this.#refused.has(from) || this.#refused.size < maxRefused
    if (isKnown && this.#refused.get(from) !== named) {
      this.#refused.set(from, named)
      const facts = { peer: from, clusterId, clusterUuid: node.knownCluster, peerClusterUuid: mark?.uuid }
      if (isOther) logger.error(facts, 'refused a node of another cluster of the same name')
      else logger.info(facts, 'refused a node that does not know its cluster yet: only a leader brings it in')
    }
    return isOther
      ? otherClusterError(clusterId, [`"${from}"`, mark.uuid], [`"${nodeId}"`, node.knownCluster ?? ''])
      : new OtherClusterError(
        `"${nodeId}" belongs to a cluster with the name "${clusterId}", and "${from}" does not know yet which one ` +
          'it belongs to. If it is a member, the leader brings it in. To make it one, start it with join'
      )
  }
}
