import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Listening } from './servers.ts'
import { FakeNode, startServer } from './servers.ts'

/** A node with the admin endpoints that a gateway asks, and whatever it is told to say there. */
export class FakeMember {
  readonly id: string
  readonly node: FakeNode
  ready = true
  /** What `GET /_cluster/v1/leader` says; null is 503. */
  claim: { readonly id: string, readonly url: string, readonly term: number } | null = null
  /** Whether it says who it is. */
  named = true
  probes = 0
  /** How long it takes to answer probes. */
  delayMs = 0
  /** Takes connections and requests and answers nothing, as a stopped process does. */
  paused = false
  url = ''
  port = 0
  stop: () => Promise<void> = async () => {}

  constructor (id: string, handler?: RequestListener) {
    this.id = id
    this.node = new FakeNode(id, null, handler)
  }

  async start (port = 0): Promise<Listening> {
    const started = await startServer((req, res) => { this.#serve(req, res) }, port)
    this.url = started.url
    this.port = started.port
    this.stop = started.stop
    return started
  }

  #serve (req: IncomingMessage, res: ServerResponse): void {
    if (this.paused) return
    if (this.named) res.setHeader('raft-node', this.id)
    const { clusterUuid } = this.node
    if (clusterUuid !== undefined && req.url?.startsWith('/_cluster/') === true) {
      res.setHeader('raft-cluster', clusterUuid)
    }
    if (this.delayMs > 0 && req.url?.startsWith('/_cluster/') === true) {
      setTimeout(() => { this.#answer(req, res) }, this.delayMs)
    } else {
      this.#answer(req, res)
    }
  }

  #answer (req: IncomingMessage, res: ServerResponse): void {
    if (req.url === '/_cluster/v1/leader') {
      this.probes++
      if (this.claim === null) res.writeHead(503, { 'retry-after': '1' }).end('{}')
      else res.end(JSON.stringify(this.claim))
    } else if (req.url === '/_cluster/v1/readyz') {
      res.writeHead(this.ready ? 200 : 503).end('{"status":"x"}')
    } else if (req.url?.startsWith('/_cluster/') === true) {
      // A release that cannot be watched.
      res.writeHead(404).end('{}')
    } else {
      this.node.listener(req, res)
    }
  }
}

/** Three members on free ports. */
export async function startMembers (count = 3, handler?: RequestListener): Promise<FakeMember[]> {
  const members = Array.from({ length: count }, (_, index) => new FakeMember(`n${index + 1}`, handler))
  for (const member of members) await member.start()
  return members
}

/** All members agree that this one leads, and it does; null: nobody does. */
export function elect (members: readonly FakeMember[], leader: FakeMember | null, term: number): void {
  for (const member of members) {
    member.node.leadership = member === leader ? { term } : null
    member.claim = leader === null ? null : { id: leader.id, url: leader.url, term }
    member.ready = leader !== null
  }
}
