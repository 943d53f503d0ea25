import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadPipelined } from './pipelined-load.ts'
import { rounded } from './statistics.ts'

// npm run bench:overhead
// The cost of the plugin for a local route on the leader. Three servers in processes of their own: two bare ones, to
// see how far two equal servers differ, and one whose route is `forward: true`. Short rounds of load alternate between
// them, so that other work of the machine affects all of them; their order is reversed from round to round. The whole
// is repeated with fresh processes, because the compiler does not optimise two processes alike.
//
// A disturbance only ever slows a round. So the upper quartiles of the rounds are compared, and the medians are printed
// beside them. One line of JSON per server, and one for the ratio.
//
// With `--before MODULE`, a fourth server takes part, whose plugin is that of another build, such as that of the commit
// before: MODULE is its `plugin/index.js`.

type Variant = 'bare' | 'forward'

interface Server {
  readonly name: string
  readonly child: ChildProcess
  readonly url: string
  readonly rounds: Round[]
}

interface Round {
  readonly requestsPerSecond: number
  readonly cpuMicrosPerRequest: number
}

const goal = 0.95
const fleets = 2
const roundsPerServer = 20
const warmUpRounds = 3
// As Fastify measures itself: many requests under way, so that the server is the bottleneck.
const load = { connections: 20, pipelining: 8, milliseconds: 250 }

const { values: { before: moduleBefore } } = parseArgs({ options: { before: { type: 'string' } } })
const ratios: Array<ReturnType<typeof compare>> = []
const toBefore: number[] = []
for (let fleet = 1; fleet <= fleets; fleet++) {
  const servers = [
    await startServer('bare', 'bare'),
    await startServer('bare again', 'bare'),
    await startServer('forward', 'forward')
  ] as const
  const before = moduleBefore === undefined ? [] : [await startServer('forward, before', 'forward', [moduleBefore])]
  await measureInTurn([...servers, ...before])
  for (const server of [...servers, ...before]) printServer(server, fleet)
  const [bare, again, forward] = servers
  ratios.push(compare(bare, again, forward))
  for (const server of before) toBefore.push(throughput(forward, 0.75) / throughput(server, 0.75))
}
if (toBefore.length > 0) print({ name: 'throughput, forward to before', ratio: rounded(mean(toBefore), 3) })

const ratio = mean(ratios.map(({ ofUpperQuartiles }) => ofUpperQuartiles))
print({
  name: 'throughput, forward to bare',
  ratio: rounded(ratio, 3),
  goal,
  held: ratio >= goal,
  ratioOfMedians: rounded(mean(ratios.map(({ ofMedians }) => ofMedians)), 3),
  ratioOfCpu: rounded(mean(ratios.map(({ ofCpu }) => ofCpu)), 3),
  bareToBare: rounded(mean(ratios.map(({ control }) => control)), 3)
})
process.exitCode = ratio >= goal ? 0 : 1

async function startServer (name: string, variant: Variant, module: readonly string[] = []): Promise<Server> {
  const child = fork(fileURLToPath(new URL('./overhead-server.js', import.meta.url)), [variant, ...module])
  const [{ url }] = await once(child, 'message') as [{ readonly url: string }]
  return { name, child, url, rounds: [] }
}

async function measureInTurn (servers: readonly Server[]): Promise<void> {
  for (let round = -warmUpRounds; round < roundsPerServer; round++) {
    const first = Math.abs(round) % servers.length
    const order = [...servers.slice(first), ...servers.slice(0, first)]
    for (const server of round % 2 === 0 ? order : order.reverse()) {
      const measured = await measure(server)
      if (round >= 0) server.rounds.push(measured)
    }
  }
  for (const { child } of servers) {
    child.disconnect()
    await once(child, 'exit')
  }
}

async function measure ({ child, url }: Server): Promise<Round> {
  const cpuBefore = await cpuMicros(child)
  const { answers, elapsedMs } = await loadPipelined({ url: `${url}/hello`, ...load })
  return {
    requestsPerSecond: (1_000 * answers) / elapsedMs,
    cpuMicrosPerRequest: ((await cpuMicros(child)) - cpuBefore) / answers
  }
}

async function cpuMicros (child: ChildProcess): Promise<number> {
  const answer = once(child, 'message')
  child.send('cpu')
  const [{ cpuMicros: micros }] = await answer as [{ readonly cpuMicros: number }]
  return micros
}

/** Ratio of the server with the plugin to both bare ones, and of the bare ones to each other. */
function compare (bare: Server, again: Server, forward: Server) {
  const toBare = (figure: (server: Server) => number): number => figure(forward) / mean([figure(bare), figure(again)])
  return {
    ofUpperQuartiles: toBare((server) => throughput(server, 0.75)),
    ofMedians: toBare((server) => throughput(server, 0.5)),
    ofCpu: toBare((server) => cpu(server, 0.25)),
    control: throughput(again, 0.75) / throughput(bare, 0.75)
  }
}

function throughput ({ rounds }: Server, fraction: number): number {
  return quantile(rounds.map(({ requestsPerSecond }) => requestsPerSecond), fraction)
}

function cpu ({ rounds }: Server, fraction: number): number {
  return quantile(rounds.map(({ cpuMicrosPerRequest }) => cpuMicrosPerRequest), fraction)
}

function quantile (numbers: readonly number[], fraction: number): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const place = (sorted.length - 1) * fraction
  const below = sorted[Math.floor(place)] ?? 0
  return below + ((sorted[Math.ceil(place)] ?? 0) - below) * (place - Math.floor(place))
}

function mean (numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length
}

function printServer (server: Server, fleet: number): void {
  print({
    name: server.name,
    fleet,
    requestsPerSecond: Math.round(throughput(server, 0.75)),
    medianRequestsPerSecond: Math.round(throughput(server, 0.5)),
    cpuMicrosPerRequest: rounded(cpu(server, 0.25), 2),
    rounds: server.rounds.map(({ requestsPerSecond }) => Math.round(requestsPerSecond))
  })
}

function print (line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
