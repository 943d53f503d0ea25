import type { IncomingMessage, ServerResponse } from 'node:http'
import { Histogram, MetricsText } from '../../raft/internal.ts'
import type { AttemptFailure } from '../forward/upstreams.ts'
import type { GatewayStatus } from './gateway-status.ts'

/** Upper bounds of durations, in seconds: from a hop in one machine hall to a long election. */
const durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const

const internalPrefix = /^raft-/i

/** What is counted elsewhere, at the moment when it is asked. */
interface MeasuredState extends GatewayStatus {
  readonly connections: number
  readonly leaderChanges: number
  readonly dnsFailures: number
  readonly ejections: number
}

/** Counts what a gateway does, and tells it in the text format of Prometheus. */
export class GatewayMetrics {
  /** Answered requests by status; `none`: the client left before. */
  readonly #answers = new Map<string, number>()
  /** Attempts that ended in no answer, by node and kind. */
  readonly #failures = new Map<string, { readonly node: string, readonly failure: AttemptFailure, count: number }>()
  readonly #durations = new Histogram(durationBounds)
  #forgedFields = 0

  /** A request has come. Fields that only nodes and gateways send are counted: none of them is passed on. */
  add (req: IncomingMessage, res: ServerResponse): void {
    const startedAtMs = performance.now()
    const { rawHeaders } = req
    for (let at = 0; at < rawHeaders.length; at += 2) {
      if (internalPrefix.test(rawHeaders[at] ?? '')) this.#forgedFields++
    }
    res.once('close', () => {
      const status = res.headersSent ? String(res.statusCode) : 'none'
      this.#answers.set(status, (this.#answers.get(status) ?? 0) + 1)
      this.#durations.observe((performance.now() - startedAtMs) / 1_000)
    })
  }

  attemptFailed (node: string, failure: AttemptFailure): void {
    const key = `${failure} ${node}`
    const known = this.#failures.get(key)
    if (known === undefined) this.#failures.set(key, { node, failure, count: 1 })
    else known.count++
  }

  /** A node that is followed no more: what is known of it would stay for ever. */
  forget (node: string): void {
    for (const [key, failed] of this.#failures) if (failed.node === node) this.#failures.delete(key)
  }

  text (state: MeasuredState): string {
    const { nodes, leader } = state
    const ofNodes = (valueOf: (node: GatewayStatus['nodes'][number]) => number) =>
      nodes.map((node) => ({ value: valueOf(node), labels: { node: node.url } }))
    return new MetricsText('fastify_raft_gateway_')
      .counter('responses_total', 'Requests that have ended, by status; none: the client left before.',
        [...this.#answers].map(([status, value]) => ({ value, labels: { status } })))
      .histogram('request_duration_seconds', 'From the head of a request to the end of its answer.', this.#durations)
      .counter('attempt_failures_total', 'Attempts to reach a node that ended in no answer, by how they failed.',
        [...this.#failures.values()].map(({ node, failure, count }) => ({ value: count, labels: { node, failure } })))
      .counter('forged_fields_total', 'Internal fields (raft-*) that clients sent, none of which was passed on.',
        this.#forgedFields)
      .counter('leader_changes_total', 'How often another leader was found.', state.leaderChanges)
      .counter('dns_failures_total', 'Looks at the DNS that have failed.', state.dnsFailures)
      .counter('ejections_total', 'How often a node got no reads for a while because they had failed.', state.ejections)
      .gauge('in_flight_requests', 'Requests on their way to a node.', state.inFlight)
      .gauge('waiting_requests', 'Requests that wait for a leader or a ready node.', state.waiting)
      .gauge('connections', 'Connections of clients that a request came on.', state.connections)
      .gauge('ready', 'Whether readyz answers 200.', Number(state.isReady))
      .gauge('leader_known', 'Whether a leader is known.', Number(leader !== null))
      .gauge('leader_term', 'Raft term of the leader, 0 while none is known.', leader?.term ?? 0)
      .gauge('node_reachable', 'Whether a node has answered its last probe.',
        ofNodes(({ reachable }) => Number(reachable)))
      .gauge('node_ready', 'Whether a node takes requests.', ofNodes(({ ready }) => Number(ready)))
      .gauge('node_foreign', 'Whether a node belongs to another cluster.',
        ofNodes(({ isForeign }) => Number(isForeign)))
      .gauge('node_leads', 'Whether requests for the leader go to a node.',
        ofNodes(({ url }) => Number(url === leader?.url)))
      .gauge('node_latency_seconds', 'How long a node takes to answer probes, a moving average.',
        ofNodes(({ latencyMs }) => (latencyMs ?? NaN) / 1_000))
      .toString()
  }
}
