import { readNodeUrl } from '../../gateway/internal.ts'
import type { Leadership } from '../../raft/index.ts'
import { systemTimers } from '../../raft/internal.ts'
import type { PrimitiveContext } from '../primitives/context.ts'
import type { ClusterMap } from '../primitives/map.ts'
import { createMap } from '../primitives/map.ts'

/** The map that holds them, by id. No name that an application is likely to take. */
const mapName = 'fastify-raft/public-urls'

/** Pause before a leader tries again to say where clients reach it. */
const retryAfterMs = 5_000

/** What a {@link PublicUrls} is built from. */
interface PublicUrlsOptions {
  readonly context: PrimitiveContext
  readonly nodeId: string
  /** Where clients reach this node; null when it was not told. */
  readonly own: string | null
  /** Whether the node has no peers by its options: it needs no URL then. */
  readonly isAlone: boolean
}

/**
 * Where clients reach the nodes, which may be elsewhere than where peers do. Each node is told its own by its options,
 * and writes it to the replicated state when it leads: clients are sent to leaders alone. Nobody else says it, and what
 * a client sends least of all.
 */
export class PublicUrls {
  readonly #options: PublicUrlsOptions
  readonly #map: ClusterMap<string>
  #cancelRetry: (() => void) | null = null

  constructor (options: PublicUrlsOptions) {
    this.#options = options
    this.#map = createMap<string>(options.context, mapName)
    options.context.engine.events.on('leadership', this.#led)
  }

  /** Where clients reach this node, by its options; null when it was not told. */
  get own (): string | null { return this.#options.own }

  /** Whether routes may redirect: clients find this node when it leads. */
  get mayRedirect (): boolean { return this.#options.own !== null || this.#options.isAlone }

  /** The origin at which clients reach a member, by its own word; null when it has given none, or is no member. */
  of (id: string): string | null {
    const { context: { engine, machine } } = this.#options
    const stored = machine.maps.get(mapName, id)
    if (stored === undefined || !engine.members().some((member) => member.id === id)) return null
    const value: unknown = JSON.parse(stored.valueJson)
    // The application has the map too, if it asks for it.
    const read = typeof value === 'string' ? readNodeUrl(value) : null
    return read?.kind === 'ok' ? read.origin : null
  }

  stop (): void {
    this.#options.context.engine.events.off('leadership', this.#led)
    this.#cancelRetry?.()
  }

  readonly #led = (leadership: Leadership | null): void => {
    this.#cancelRetry?.()
    if (leadership !== null) this.#tell(leadership).catch((error: unknown) => { this.#failed(leadership, error) })
  }

  /** Writes what is not there already. Of nodes that are no members any more nothing is kept. */
  async #tell ({ token }: Leadership): Promise<void> {
    const { context: { engine }, nodeId, own } = this.#options
    const fence = String(token)
    const members = new Set(engine.members().map(({ id }) => id))
    const { entries } = await this.#map.list({ read: 'local' })
    for (const { key } of entries) {
      if (!members.has(key) || (key === nodeId && own === null)) await this.#map.delete(key, { fence })
    }
    if (own !== null && this.of(nodeId) !== own) await this.#map.set(nodeId, own, { fence })
  }

  #failed (leadership: Leadership, err: unknown): void {
    const { context: { engine, logger, timers = systemTimers } } = this.#options
    // Another one leads by now, and says where it is.
    if (engine.openLeadership()?.token !== leadership.token) return
    logger.warn({ err }, 'could not tell the cluster the publicUrl of this node: redirects wait for that')
    this.#cancelRetry = timers.after(retryAfterMs, () => { this.#led(leadership) }, { background: true })
  }
}
