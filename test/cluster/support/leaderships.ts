import { readFileSync } from 'node:fs'
import type { WatchedCluster } from './watched-cluster.ts'

/** A leadership that a node claimed for itself. */
export interface Claim {
  readonly node: string
  readonly term: number
  /** Fencing token, if the log contains it. */
  readonly token: number | null
}

/** Collects claims of leadership with their terms: from the status of every node, and at the end from the logs. */
export class LeadershipWatch {
  readonly claims: Claim[] = []
  readonly #cluster: WatchedCluster
  readonly #timer: NodeJS.Timeout
  #looking: Promise<void> = Promise.resolve()

  constructor (cluster: WatchedCluster, intervalMs = 50) {
    this.#cluster = cluster
    this.#timer = setInterval(() => { this.#looking = this.#look() }, intervalMs)
  }

  /** Stops watching and adds the claims in the logs. */
  async end (): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
    for (const { id, child } of this.#cluster.nodes) {
      this.claims.push(...claimsInLog(id, readFileSync(child.command.logFile, 'utf8')))
    }
  }

  async #look (): Promise<void> {
    await Promise.all(this.#cluster.nodes.map(async ({ id, child }) => {
      const status = child.running ? await this.#cluster.status(id) : null
      if (status?.role === 'leader') this.claims.push({ node: id, term: status.term, token: null })
    }))
  }
}

/** Messages about terms with two leaders and tokens that do not rise. */
export function contradictionsIn (claims: readonly Claim[]): string[] {
  const found: string[] = []
  for (const [term, nodes] of groups(claims, (claim) => claim.term, (claim) => claim.node)) {
    if (nodes.size > 1) found.push(`term ${term} had the leaders ${[...nodes].join(', ')}`)
  }
  const tokens = groups(
    claims.filter(({ token }) => token !== null),
    (claim) => claim.term,
    (claim) => claim.token ?? 0
  )
  let last = 0
  for (const [term, ofTerm] of [...tokens].sort(([a], [b]) => a - b)) {
    if (ofTerm.size > 1) found.push(`term ${term} had the tokens ${[...ofTerm].join(', ')}`)
    if (Math.min(...ofTerm) <= last) found.push(`the token of term ${term} did not rise above ${last}`)
    last = Math.max(...ofTerm)
  }
  return found
}

function claimsInLog (node: string, log: string): Claim[] {
  return log.split('\n').flatMap((line) => {
    const entry = parseLine(line)
    return entry?.msg === 'leadership started' && typeof entry.term === 'number'
      ? [{ node, term: entry.term, token: Number(entry.token) }]
      : []
  })
}

// A process that was killed may have left half a line.
function parseLine (
  line: string
): { readonly msg?: unknown; readonly term?: unknown; readonly token?: unknown } | null {
  try {
    return JSON.parse(line) as object
  } catch {
    return null
  }
}

function groups<T, K, V> (items: readonly T[], keyOf: (item: T) => K, valueOf: (item: T) => V): Map<K, Set<V>> {
  const grouped = new Map<K, Set<V>>()
  for (const item of items) grouped.set(keyOf(item), (grouped.get(keyOf(item)) ?? new Set<V>()).add(valueOf(item)))
  return grouped
}
