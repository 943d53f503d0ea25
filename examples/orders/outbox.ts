import type { ClusterMap, LeadershipGrant, MapEntry, MapPage } from 'fastify-raft'
import { FencedError, RevisionMismatchError } from 'fastify-raft/errors'
import type { Order } from './order.ts'

// An order whose write outlived its request is not announced; the next scan of all orders finds it.
const rescanMs = 1_000
const maxAnnounced = 10_000
const pageLength = 500
const concurrentSends = 32

/**
 * Sends every order once: a singleton task of the leader, woken by each new order.
 *
 * Sending is a write of the order itself here, conditional on its revision and fenced with the leadership's token. So
 * two leaderships that overlap for a moment cannot both send an order: one of the writes is refused. A receiver outside
 * of the cluster has to check the token or the order's id for the same guarantee.
 */
export class Outbox {
  readonly #orders: ClusterMap<Order>
  readonly #nodeId: string
  readonly #announced = new Set<string>()
  #wake: () => void = () => {}

  constructor (orders: ClusterMap<Order>, nodeId: string) {
    this.#orders = orders
    this.#nodeId = nodeId
  }

  /** Tells the outbox of an order to send. Has an effect only where the task runs. */
  announce (id: string): void {
    if (this.#announced.size < maxAnnounced) this.#announced.add(id)
    this.#wake()
  }

  /**
   * The task: runs until the signal aborts. Rejects when a write fails; the cluster then starts it again.
   */
  async run (signal: AbortSignal, grant: LeadershipGrant): Promise<void> {
    let nextScanMs = 0
    while (!signal.aborted) {
      if (performance.now() >= nextScanMs) {
        await this.#sendAll(grant)
        nextScanMs = performance.now() + rescanMs
      }
      await this.#sendAnnounced(grant)
      if (this.#announced.size === 0) await this.#untilWoken(nextScanMs - performance.now(), signal)
    }
  }

  async #sendAll (grant: LeadershipGrant): Promise<void> {
    this.#announced.clear()
    let after: string | undefined
    do {
      // A leader has applied every earlier order, and the condition of the write makes a stale read harmless.
      const page: MapPage<Order> = await this.#orders.list({ read: 'local', after, limit: pageLength })
      await this.#send(page.entries, grant)
      after = page.next ?? undefined
    } while (after !== undefined && !grant.signal.aborted)
  }

  async #sendAnnounced (grant: LeadershipGrant): Promise<void> {
    const ids = [...this.#announced]
    this.#announced.clear()
    const entries = await Promise.all(ids.map(async (id) => await this.#orders.get(id, { read: 'local' })))
    await this.#send(entries.filter((entry) => entry !== null), grant)
  }

  async #send (entries: readonly MapEntry<Order>[], grant: LeadershipGrant): Promise<void> {
    const unsent = entries.filter((entry) => entry.value.sentCount === 0)
    for (let start = 0; start < unsent.length && !grant.signal.aborted; start += concurrentSends) {
      await Promise.all(
        unsent.slice(start, start + concurrentSends).map(async (entry) => {
          await this.#sendOne(entry, grant)
        })
      )
    }
  }

  async #sendOne ({ key, value, revision }: MapEntry<Order>, grant: LeadershipGrant): Promise<void> {
    const sent: Order = { ...value, sentCount: value.sentCount + 1, sentBy: this.#nodeId, sentToken: grant.token }
    try {
      await this.#orders.set(key, sent, { ifRevision: revision, fence: grant.token, signal: grant.signal })
    } catch (error) {
      // Another leadership has sent it or will: this one must not.
      if (!(error instanceof RevisionMismatchError) && !(error instanceof FencedError)) throw error
    }
  }

  async #untilWoken (timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#wake = () => {}
        resolve()
      }
      const timer = setTimeout(done, Math.max(0, timeoutMs))
      signal.addEventListener('abort', done)
      this.#wake = done
    })
  }
}
