/** Within this, two latencies of one machine hall are the same. */
const sameMs = 0.5

/**
 * The nodes that are about as near as the nearest one, by how fast they answer probes: at most twice its time. Those
 * whose latency is not known are taken for far; all of them when none is known.
 */
export function nearestNodes (urls: readonly string[], latencyMsOf: (url: string) => number): readonly string[] {
  const lowestMs = Math.min(...urls.map(latencyMsOf))
  return urls.filter((url) => latencyMsOf(url) <= 2 * lowestMs + sameMs)
}

/**
 * One of the nodes, by the power of two choices: of two that are drawn at random the one with less to do (Mitzenmacher,
 * The Power of Two Choices in Randomized Load Balancing, 2001). The one with the least of all would get the requests of
 * all gateways at once.
 */
export function chooseNode (
  urls: readonly string[],
  loadOf: (url: string) => number,
  random: () => number
): string | undefined {
  const first = Math.floor(random() * urls.length)
  const [one, other] = [urls[first], urls[(first + 1 + Math.floor(random() * (urls.length - 1))) % urls.length]]
  if (one === undefined || other === undefined) return one
  return loadOf(other) < loadOf(one) ? other : one
}
