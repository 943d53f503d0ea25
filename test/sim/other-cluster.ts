import type { Message, NodeId } from '../../src/raft/core/index.ts'
import { asNodeId } from '../../src/raft/core/index.ts'
import { configurationOf } from '../support/configurations.ts'
import { CoreNode } from '../support/core-node.ts'
import { SimRandom } from './random.ts'
import type { SimNode, World } from './world.ts'

const ownUuid = 'the cluster of the run'
const otherUuid = 'another one of its name'

/**
 * Two more nodes, which have founded another cluster of the same name: removed first members on new disks. They are a
 * majority of their three first members, and the third one is a node of the cluster under test. Nothing of theirs may
 * change it. They run the production core on disks that are done at once, and are not checked themselves.
 */
export class OtherCluster {
  readonly #world: World
  readonly #random: SimRandom
  readonly #nodes = new Map<NodeId, CoreNode>()
  readonly #target: SimNode | undefined
  /** Commit index at which the target knew its cluster first; null before. */
  #knownAt: number | null = null
  #proposals = 0

  constructor (world: World, seed: number) {
    this.#world = world
    this.#random = new SimRandom(seed, 'messages of the other cluster')
    const { plan } = world
    this.#target = world.nodes[0]
    // A disk that holds bytes does not show here what a restart would know.
    if (plan.otherCluster.nodes === 0 || plan.disk.isLog || this.#target === undefined) return
    const ids = Array.from({ length: plan.otherCluster.nodes }, (_, position) => asNodeId(`x${position + 1}`))
    const { electionTicksMin, electionTicksMax, leaseTicks, heartbeatTicks, limits } = plan
    for (const id of ids) {
      const wallMs = (): number => Math.floor(world.nowUs / 1_000)
      const node: CoreNode = new CoreNode(
        {
          id,
          configuration: configurationOf([...ids, this.#target.node.id]),
          electionTicksMin,
          electionTicksMax,
          leaseTicks,
          heartbeatTicks,
          limits,
          seed: this.#random.between(0, 0x7fff_ffff)
        },
        { clock: { monotonicMs: wallMs, wallMs }, send: (message) => { this.#carry(message) }, stepped: () => {} }
      )
      this.#nodes.set(id, node)
    }
  }

  has (id: NodeId): boolean { return this.#nodes.has(id) }

  start (): void {
    if (this.#nodes.size > 0) this.#scheduleTick()
  }

  /** A message from the cluster under test, or from one of the two to the other. */
  receive (message: Message): void {
    const node = this.#nodes.get(message.to)
    if (node?.isUp !== true) return
    node.receive(message)
    this.#flush(node)
  }

  #scheduleTick (): void {
    this.#world.queue.after(this.#world.plan.tickUs, () => {
      this.#found()
      if (this.#targetKnowsItsCluster()) for (const node of this.#nodes.values()) this.#tick(node)
      this.#scheduleTick()
    })
  }

  /** As the membership record does it: a leader whose log names no cluster gives it one. */
  #found (): void {
    for (const sim of this.#world.leaders) {
      if (sim.node.core.configuration.clusterUuid !== undefined) continue
      this.#world.enter(sim, () => { sim.node.configure([{ kind: 'found', clusterUuid: ownUuid }]) })
    }
  }

  /** Also after a crash: before that, a node may still become part of any cluster. */
  #targetKnowsItsCluster (): boolean {
    const node = this.#target?.node
    if (node === undefined) return false
    const knows = node.isUp && node.core.clusterUuid !== undefined
    if (knows) this.#knownAt ??= node.core.commitIndex
    return this.#knownAt !== null && node.disk.hardState.commit >= this.#knownAt
  }

  #tick (node: CoreNode): void {
    if (!node.isUp) node.start()
    node.tick()
    if (node.core.view.role === 'leader') {
      if (node.core.configuration.clusterUuid === undefined) {
        node.configure([{ kind: 'found', clusterUuid: otherUuid }])
      } else node.propose(new TextEncoder().encode(`other ${this.#proposals++}`))
    }
    this.#flush(node)
  }

  #flush (node: CoreNode): void {
    while (node.pendingWrites.length > 0) node.persist()
  }

  #carry (message: Message): void {
    const { queue } = this.#world
    queue.after(this.#random.between(50, 5_000), () => {
      if (this.has(message.to)) this.receive(message)
      else {
        const receiver = this.#world.nodeOf(message.to)
        this.#world.enter(receiver, () => { receiver.node.receive(message) })
      }
    })
  }
}
