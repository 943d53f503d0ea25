import { Resolver } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import type { Logger } from '../../raft/index.ts'
import { originOf } from '../options/node-url.ts'
import type { Seed } from '../options/seed.ts'
import { seedText } from '../options/seed.ts'

/** A node that seeds lead to. */
export interface FoundNode {
  readonly url: string
  /** The name that its certificate has to have, when that is not the host of its URL. */
  readonly serverName: string | null
  readonly source: 'configured' | 'dns' | 'member'
}

/** Options of {@link Seeds}. Durations are milliseconds. */
interface SeedsOptions {
  readonly seeds: readonly Seed[]
  /** Pause between two looks at the DNS. */
  readonly dnsIntervalMs: number
  /** Name servers, instead of those of the machine. */
  readonly dnsServers: readonly string[]
  readonly onChange: () => void
  readonly logger: Logger | undefined
}

/** How long a name server may take, and how often it is asked, for one look. */
const queryMs = 1_000
const queryTries = 2

/** What says that there is no such record: no failure, but an answer. */
const noRecordCodes: ReadonlySet<unknown> = new Set(['ENODATA', 'ENOTFOUND'])

/**
 * The nodes that the seeds lead to. Names are resolved again and again. What they stood for last goes on to count when
 * they cannot be resolved, and when they stand for nothing: a DNS that is down takes no node away.
 */
export class Seeds {
  readonly #options: SeedsOptions
  readonly #resolver = new Resolver({ timeout: queryMs, tries: queryTries })
  /** What each name stands for, by its place in the list. */
  readonly #found = new Map<Seed, readonly FoundNode[]>()
  readonly #timers = new Set<NodeJS.Timeout>()
  /** Why the last look failed, by name. */
  readonly #failures = new Map<Seed, string>()
  #isStopped = false
  failureCount = 0

  constructor (options: SeedsOptions) {
    this.#options = options
    if (options.dnsServers.length > 0) this.#resolver.setServers([...options.dnsServers])
  }

  /** The nodes, in the order of the seeds. */
  nodes (): readonly FoundNode[] {
    const found = this.#options.seeds.flatMap((seed): readonly FoundNode[] => seed.kind === 'url'
      ? [{ url: seed.origin, serverName: null, source: 'configured' }]
      : this.#found.get(seed) ?? [])
    return [...new Map(found.map((node) => [node.url, node])).values()]
  }

  /** Whether every name was looked up. */
  get haveTried (): boolean {
    return this.#options.seeds.every((seed) => seed.kind === 'url' || this.#found.has(seed) || this.#failures.has(seed))
  }

  start (): void {
    for (const seed of this.#options.seeds) if (seed.kind !== 'url') this.#follow(seed)
  }

  stop (): void {
    this.#isStopped = true
    this.#resolver.cancel()
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #follow (seed: Seed): void {
    this.#look(seed).finally(() => {
      if (this.#isStopped) return
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        this.#follow(seed)
      }, this.#options.dnsIntervalMs)
      this.#timers.add(timer)
    }).catch((err: unknown) => { this.#options.logger?.error({ err }, 'following the DNS failed unexpectedly') })
  }

  async #look (seed: Seed): Promise<void> {
    const before = this.#found.get(seed)
    try {
      const { nodes: named, failure } = await this.#resolve(seed)
      if (this.#isStopped) return
      if (failure !== null) this.#note(seed, failure)
      else this.#failures.delete(seed)
      // As long as some answer is missing, nothing is taken away.
      const kept = failure === null ? [] : before ?? []
      const now = [...new Map([...named, ...kept].map((node) => [node.url, node])).values()]
      if (now.length > 0) this.#found.set(seed, now)
      if (sameUrls(before ?? [], now) || now.length === 0) {
        if (before === undefined) this.#options.onChange()
        return
      }
      const nodes = now.map(({ url }) => url)
      this.#options.logger?.info({ seed: seedText(seed), nodes }, 'the DNS names these nodes')
      this.#options.onChange()
    } catch (error) {
      if (this.#isStopped) return
      this.#note(seed, error)
      if (before === undefined) this.#options.onChange()
    }
  }

  async #resolve (seed: Seed): Promise<{ readonly nodes: readonly FoundNode[], readonly failure: unknown }> {
    const { protocol, hostname, port } = new URL(seed.origin)
    if (seed.kind === 'services') {
      const targets = await this.#resolver.resolveSrv(hostname)
      const urls = targets.map(({ name, port }) => originOf(`${protocol}//${name.replace(/\.$/, '')}:${port}`))
      const isUsable = urls.some((url) => url !== null)
      return { nodes: found(urls, null), failure: isUsable ? null : new Error('no usable record') }
    }
    const families = await Promise.allSettled([
      this.#resolver.resolve4(hostname), this.#resolver.resolve6(hostname)
    ])
    const addresses = families.flatMap((family) => family.status === 'fulfilled' ? family.value : [])
    const urls = addresses.map((address) => {
      const host = isIPv6(address) ? `[${address}]` : address
      return originOf(`${protocol}//${host}${port === '' ? '' : `:${port}`}`)
    })
    const reasons = families.flatMap((family) =>
      family.status === 'rejected' ? [family.reason as { readonly code?: unknown }] : [])
    const failure = reasons.find(({ code }) => addresses.length === 0 || !noRecordCodes.has(code))
    return { nodes: found(urls, protocol === 'https:' ? hostname : null), failure: failure ?? null }
  }

  /** One line of log for each reason, not for each look. */
  #note (seed: Seed, error: unknown): void {
    this.failureCount++
    const { code, message } = error as { readonly code?: string, readonly message?: string }
    const reason = code ?? message ?? 'unknown'
    if (this.#failures.get(seed) === reason) return
    this.#failures.set(seed, reason)
    const text = 'a name of nodes cannot be resolved: what it stood for before goes on to count'
    this.#options.logger?.warn({ seed: seedText(seed), reason }, text)
  }
}

function found (urls: ReadonlyArray<string | null>, serverName: string | null): readonly FoundNode[] {
  return urls.flatMap((url): FoundNode[] => url === null ? [] : [{ url, serverName, source: 'dns' }])
}

function sameUrls (one: readonly FoundNode[], other: readonly FoundNode[]): boolean {
  const urls = new Set(one.map(({ url }) => url))
  return urls.size === other.length && other.every(({ url }) => urls.has(url))
}
