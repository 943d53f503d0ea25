/** What is known of a node that was configured, or found in the DNS. */
interface SeedView {
  /** UUID of the cluster that it last said it belongs to; null until it has. */
  readonly clusterUuid: string | null
  /** Whether it has been asked once, whatever came of it. */
  readonly hasTried: boolean
}

/** Which cluster a gateway is for. */
export type ClusterChoice =
  /** That of the nodes with this UUID; null while no node has named one. */
  | { readonly kind: 'chosen', readonly uuid: string | null }
  /** Too little is known, or the nodes are of several clusters, none of which has most of them. */
  | { readonly kind: 'open' }
  | { readonly kind: 'conflict' }

/**
 * The cluster that most of the seeds belong to, as far as they have said. Without such a majority the one of before
 * stays; when there is none either, the one that all name who were reached.
 *
 * By the majority, and not by who answers first: which cluster requests go to must not change from one start to the
 * next. Two clusters in one list of two are a mistake that nobody but its author can decide.
 */
export function chooseCluster (seeds: readonly SeedView[], before: string | null): ClusterChoice {
  const counts = new Map<string, number>()
  for (const { clusterUuid } of seeds) {
    if (clusterUuid !== null) counts.set(clusterUuid, (counts.get(clusterUuid) ?? 0) + 1)
  }
  for (const [uuid, count] of counts) if (count * 2 > seeds.length) return { kind: 'chosen', uuid }
  if (before !== null) return { kind: 'chosen', uuid: before }
  const [only] = counts.keys()
  if (counts.size > 1) return { kind: 'conflict' }
  if (only === undefined) return { kind: 'chosen', uuid: null }
  return seeds.every(({ hasTried }) => hasTried) ? { kind: 'chosen', uuid: only } : { kind: 'open' }
}
