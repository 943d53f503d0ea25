import { join } from 'node:path'
import { median, rounded } from './statistics.ts'
import type { Contender, Turn } from './write-contenders.ts'
import { startOurs, takeTurn } from './write-contenders.ts'

/** Most that a follower adds to the leader's processor time for a write, in microseconds. */
const aimMicrosPerFollower = 6

/** What {@link measureVoters} measures. */
interface VotersOptions {
  /** Numbers of voters, the lowest first. */
  readonly voters: readonly number[]
  /** Name and command line of each build. */
  readonly programs: ReadonlyArray<readonly [name: string, program: string]>
  readonly directory: string
  readonly clients: number
  readonly warmUpMs: number
  readonly turnMs: number
  readonly rounds: number
  readonly print: (line: object) => void
}

/**
 * What a write costs the leader with more and more voters. Clusters of one size take turns; those of another size come
 * afterwards, for they would share the processors. Returns whether each follower costs as little as it is to.
 */
export async function measureVoters (options: VotersOptions): Promise<boolean> {
  const { voters, programs, print } = options
  const leaderMicros = new Map<string, Map<number, number>>(programs.map(([name]) => [name, new Map()]))
  for (const count of voters) {
    for (const [name, turns] of await turnsWith(options, count)) {
      const leader = median(turns.map(({ load, leaderCpuMicros }) => (leaderCpuMicros ?? Number.NaN) / load.writes))
      const all = median(turns.map(({ load, cpuMicros }) => (cpuMicros ?? Number.NaN) / load.writes))
      leaderMicros.get(name)?.set(count, leader)
      print({
        name,
        voters: count,
        clients: options.clients,
        medianWritesPerSecond: Math.round(median(turns.map(({ load }) => 1_000 * load.writes / load.elapsedMs))),
        // JSON has no NaN: null when the system does not report it.
        leaderCpuMicrosPerWrite: rounded(leader, 1),
        cpuMicrosPerWrite: rounded(all, 1)
      })
    }
  }
  return programs.map(([name], at) => printFollowers(name, leaderMicros.get(name) ?? new Map(), at === 0, print))
    .every((held) => held)
}

async function turnsWith (options: VotersOptions, voters: number): Promise<ReadonlyMap<string, readonly Turn[]>> {
  const { programs, directory, clients, warmUpMs, turnMs, rounds } = options
  const contenders: Contender[] = []
  try {
    for (const [name, program] of programs) {
      contenders.push(await startOurs({ name, program, directory: join(directory, `${name}-${voters}`), voters }))
    }
    for (const contender of contenders) await takeTurn(contender, clients, warmUpMs)
    const turns = new Map(contenders.map(({ name }) => [name, [] as Turn[]]))
    for (let round = 0; round < rounds; round++) {
      for (const contender of contenders) turns.get(contender.name)?.push(await takeTurn(contender, clients, turnMs))
    }
    return turns
  } finally {
    await Promise.all(contenders.map(({ stop }) => stop()))
  }
}

/** Prints what each follower adds beside the fewest voters. Returns whether the aim is reached, if there is one. */
function printFollowers (
  name: string,
  leaderMicros: ReadonlyMap<number, number>,
  hasAim: boolean,
  print: (line: object) => void
): boolean {
  const [fewest, ...more] = [...leaderMicros]
  if (fewest === undefined) return true
  const added = more.map(([voters, micros]) => [voters, (micros - fewest[1]) / (voters - fewest[0])] as const)
  const held = added.every(([, micros]) => !(micros > aimMicrosPerFollower))
  print({
    name: `leader's microseconds a write for each follower, ${name}`,
    besideVoters: fewest[0],
    byVoters: Object.fromEntries(added.map(([voters, micros]) => [voters, rounded(micros, 1)])),
    ...(hasAim ? { aim: aimMicrosPerFollower, held } : {})
  })
  return !hasAim || held
}
