import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'

// npm run bench:overhead
// What the plugin costs a local route on the leader. Short rounds of load on the two servers in turn, so that whatever
// else the machine does meets both; medians are compared. One line of JSON per server and one for the ratio.

type Variant = 'bare' | 'forward'

interface Server {
  readonly variant: Variant
  readonly child: ChildProcess
  readonly url: string
  readonly rounds: Round[]
}

interface Round {
  readonly requestsPerSecond: number
  readonly cpuMicrosPerRequest: number
}

const roundSeconds = 2
const pairs = 11
const goal = 0.95

const servers = await Promise.all((['bare', 'forward'] as const).map(startServer))
for (const server of servers) await measure(server)
for (let pair = 0; pair < pairs; pair++) {
  // Turned around every time, so that neither always comes second.
  for (const server of pair % 2 === 0 ? servers : [...servers].reverse()) server.rounds.push(await measure(server))
}
for (const { child } of servers) child.disconnect()

const [bare, forward] = servers
const ratioOfPairs = (bare?.rounds ?? []).map((round, pair) => (forward?.rounds[pair]?.requestsPerSecond ?? 0) / round.requestsPerSecond)
for (const { variant, rounds } of servers) {
  print({
    name: variant,
    medianRequestsPerSecond: Math.round(median(rounds.map((round) => round.requestsPerSecond))),
    medianCpuMicrosPerRequest: rounded(median(rounds.map((round) => round.cpuMicrosPerRequest)), 2),
    rounds: rounds.map((round) => Math.round(round.requestsPerSecond))
  })
}
const ratio = rounded(median(ratioOfPairs), 3)
print({ name: 'throughput, forward to bare', ratio, goal, held: ratio >= goal, pairs: ratioOfPairs.map((of) => rounded(of, 3)) })
process.exitCode = ratio >= goal ? 0 : 1

async function startServer (variant: Variant): Promise<Server> {
  const child = fork(fileURLToPath(new URL('./overhead-server.js', import.meta.url)), [variant])
  const [{ url }] = await once(child, 'message') as [{ readonly url: string }]
  return { variant, child, url, rounds: [] }
}

async function measure ({ child, url }: Server): Promise<Round> {
  const cpuBefore = await cpuMicros(child)
  // Pipelining, so that the server is what limits and not the client.
  const result = await autocannon({ url: `${url}/hello`, connections: 20, pipelining: 8, duration: roundSeconds })
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} refused and ${result.errors} failed requests`)
  const total = result.requests.total
  return { requestsPerSecond: total / result.duration, cpuMicrosPerRequest: (await cpuMicros(child) - cpuBefore) / total }
}

async function cpuMicros (child: ChildProcess): Promise<number> {
  const answer = once(child, 'message')
  child.send('cpu')
  const [{ cpuMicros: micros }] = await answer as [{ readonly cpuMicros: number }]
  return micros
}

function median (numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] ?? 0 : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

function rounded (number: number, digits: number): number {
  return Number(number.toFixed(digits))
}

function print (line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
