import type { Message, NodeId } from '../../src/raft/core/index.ts'
import type { SimRandom } from './random.ts'
import type { SimNode, World } from './world.ts'

/** Carries messages: late, twice, out of order, or not at all. */
export class Network {
  readonly #world: World
  /** Directed links that carry nothing, as `from>to`. */
  readonly #cut = new Set<string>()

  constructor (world: World) {
    this.#world = world
  }

  send (message: Message): void {
    const { plan: { network }, random, isHealed } = this.#world
    if (isHealed) {
      if (!this.#isCut(message)) this.#deliverAfter(message, random.between(50, 1_000))
      return
    }
    if (this.#isCut(message) || random.chance(network.loss)) {
      this.#world.note('lost', message.kind, message.from, message.to)
      if (random.chance(network.lossReports)) this.#reportLoss(message)
      return
    }
    const copies = random.chance(network.duplication) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      const strays = random.chance(network.strays)
      const longestUs = strays ? network.strayUs : Math.max(network.delayMinUs, network.delayMaxUs)
      this.#deliverAfter(message, random.between(network.delayMinUs, Math.max(network.delayMinUs, longestUs)))
    }
  }

  /** Carries a request or an answer of HTTP: late or not at all, but never twice. */
  carry (from: NodeId, to: NodeId, arrived: (receiver: SimNode) => void): void {
    const { plan: { network }, random, isHealed, queue } = this.#world
    if (!isHealed && random.chance(network.loss)) return
    const delayUs = isHealed
      ? random.between(50, 1_000)
      : random.between(network.delayMinUs, Math.max(network.delayMinUs, network.delayMaxUs))
    queue.after(delayUs, () => {
      const receiver = this.#world.nodeOf(to)
      if (!this.#cut.has(`${from}>${to}`)) this.#world.enter(receiver, () => { arrived(receiver) })
    })
  }

  /** Cuts some links for a while: a group from the rest, or two nodes from each other, in both directions or in one. */
  partition (random: SimRandom): void {
    const { nodes, plan } = this.#world
    const ids = random.shuffled(nodes.map(({ node }) => node.id))
    const links: string[] = []
    const cut = (from: NodeId | undefined, to: NodeId | undefined): void => {
      if (from !== undefined && to !== undefined && from !== to) links.push(`${from}>${to}`)
    }
    const size = random.between(1, ids.length)
    const isOneWay = random.chance(0.3)
    if (random.chance(0.2)) {
      // A bridge: two nodes that do not see each other, while all others see both.
      cut(ids[0], ids[1])
      if (!isOneWay) cut(ids[1], ids[0])
    } else {
      for (const inside of ids.slice(0, size)) {
        for (const outside of ids.slice(size)) {
          cut(inside, outside)
          if (!isOneWay) cut(outside, inside)
        }
      }
    }
    this.#cutFor(links, random.between(1, plan.faults.partitionedUs))
  }

  /** Cuts one node off from all others for a while. */
  isolate (id: NodeId, forUs: number): void {
    const others = this.#world.nodes.map(({ node }) => node.id).filter((other) => other !== id)
    this.#cutFor(others.flatMap((other) => [`${id}>${other}`, `${other}>${id}`]), forUs)
  }

  heal (): void { this.#cut.clear() }

  #cutFor (links: readonly string[], forUs: number): void {
    this.#world.note('cut', links.join(' '))
    for (const link of links) this.#cut.add(link)
    this.#world.queue.after(forUs, () => {
      if (!this.#world.isHealed) for (const link of links) this.#cut.delete(link)
    })
  }

  #reportLoss (message: Message): void {
    const world = this.#world
    const sender = world.nodeOf(message.from)
    const { starts } = sender.node
    world.queue.after(world.random.between(50, world.plan.tickUs), () => {
      if (sender.node.starts === starts) {
        world.enter(sender, () => { sender.node.unreachable(message.to) })
      }
    })
  }

  #deliverAfter (message: Message, delayUs: number): void {
    this.#world.queue.after(delayUs, () => {
      const receiver = this.#world.nodeOf(message.to)
      if (!this.#isCut(message)) this.#world.enter(receiver, () => { receiver.node.receive(message) })
    })
  }

  #isCut ({ from, to }: Message): boolean { return this.#cut.size > 0 && this.#cut.has(`${from}>${to}`) }
}
