import { originOf } from '../options/node-url.ts'
import type { NodeView } from './node-probe.ts'
import type { FoundNode } from './seeds.ts'
import type { ToldMembership } from './watch-answer.ts'

/** Nodes that a gateway looks at, at most: as many as can be configured. */
const maxNodes = 64

/**
 * The nodes to look at: the seeds, and the members of their cluster that none of the seeds is.
 *
 * Who belongs is what the nodes of the cluster say themselves, the newest that any of them says. A member that a seed
 * has turned out to be is reached by the URL of the seed: the members may know it by another one that does not work
 * from here. Where all seeds are called over https no member is called otherwise.
 */
export function nodesToFollow (
  seeds: readonly FoundNode[],
  views: readonly NodeView[],
  clusterUuid: string | null
): readonly FoundNode[] {
  const nodes = new Map(seeds.map((seed) => [seed.url, seed]))
  const told = views
    .flatMap(({ membership, ...view }) => view.clusterUuid === clusterUuid && membership !== null ? [membership] : [])
    .reduce<ToldMembership | null>((newest, next) =>
      newest !== null && newest.version >= next.version ? newest : next, null)
  if (clusterUuid === null || told === null) return [...nodes.values()]
  const idsOfSeeds = new Set(views.filter(({ url }) => nodes.has(url)).map(({ id }) => id))
  const onlyHttps = seeds.every(({ url }) => url.startsWith('https:'))
  for (const { id, url } of told.members) {
    const origin = originOf(url)
    if (origin === null || idsOfSeeds.has(id) || nodes.has(origin) || nodes.size >= maxNodes) continue
    if (onlyHttps && !origin.startsWith('https:')) continue
    nodes.set(origin, { url: origin, serverName: null, source: 'member' })
  }
  return [...nodes.values()]
}
