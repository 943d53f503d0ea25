import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import type { ClusterStatus } from '../../../src/plugin/index.ts'
import type { GatewayProcess } from './gateway-process.ts'
import { startGateway } from './gateway-process.ts'
import type { Entry } from './ledger-client.ts'
import { LedgerClient, sendEntry } from './ledger-client.ts'
import type { NotesCopy } from './notes-cluster.ts'
import { NotesCluster } from './notes-cluster.ts'
import { send } from './requests.ts'

const kinds = ['kill', 'pause', 'transfer'] as const

/** What is done to the leader in a round. */
type RoundKind = (typeof kinds)[number]

/** What a run found. Lists name what broke a promise. */
export interface OnceResult {
  readonly rounds: number
  readonly kinds: Readonly<Record<RoundKind, number>>
  readonly entries: number
  readonly acknowledged: number
  /** Requests of which a client saw an outcome that says nothing. */
  readonly unknown: number
  /** Requests with keys that were never executed again, since nobody knew what their handler had done. */
  readonly lostHandlers: number
  /** Requests that ran again, as their route allows. */
  readonly repeated: number
  /** Acknowledged, and not executed or not stored. */
  readonly lost: readonly string[]
  /** With a key on a route that runs once, and executed twice. */
  readonly doubled: readonly string[]
  /** Without a key, and executed more often than unknown outcomes explain. */
  readonly unexplained: readonly string[]
  /** Answered otherwise when they were sent once more. */
  readonly changed: readonly string[]
  readonly elapsedMs: number
}

/** How a run goes. */
export interface OnceOptions {
  /** The compiled command line, and the compiled `ledger-app.ts`. */
  readonly program: string
  readonly app: string
  readonly rounds: number
  /** A number in [0, 1). */
  readonly random: () => number
  readonly onRound?: (round: number, kind: RoundKind) => void
}

const clients = 8
const recoveryTimeoutMs = 60_000
const stopGraceMs = 6_000
const requestTimeoutMs = 2_000

/** Kills, pauses and hands over the leader while clients post, and compares what they saw with what handlers wrote. */
export async function runOnceRounds (options: OnceOptions): Promise<OnceResult> {
  const cluster = await NotesCluster.start({ program: options.app })
  let gateway: GatewayProcess | null = null
  try {
    gateway = await startGateway(options.program, cluster)
    return await run(cluster, gateway, options)
  } finally {
    for (const { child } of cluster.copies) child.signal('SIGCONT')
    await gateway?.child.stop(stopGraceMs)
    await cluster.stop()
  }
}

async function run (
  cluster: NotesCluster,
  gateway: GatewayProcess,
  { rounds, random, onRound = () => {} }: OnceOptions
): Promise<OnceResult> {
  const startedMs = performance.now()
  const copies = cluster.copies.map(({ url }) => url)
  // Half of all requests go through the gateway.
  const doors = [...copies.map(() => gateway.url), ...copies]
  const writers = Array.from({ length: clients }, (_, at) => new LedgerClient(`c${at + 1}`, doors, random))
  const done: Record<RoundKind, number> = { kill: 0, pause: 0, transfer: 0 }
  try {
    for (let round = 0; round < rounds; round++) {
      const kind = kinds[round % kinds.length] ?? 'kill'
      onRound(round + 1, kind)
      await untilAcknowledged(writers)
      await delay(random() * 200)
      await disturb(cluster, kind, random)
      await untilAcknowledged(writers)
      done[kind]++
    }
  } finally {
    await Promise.all(writers.map(async (writer) => { await writer.stop() }))
  }
  const entries = writers.flatMap((writer) => writer.entries)
  const executed = () => runsIn(cluster)
  const runs = executed()
  const changed = await repeatAll(doors, entries)
  const stored = await storedIn(cluster)
  return {
    rounds,
    kinds: done,
    entries: entries.length,
    acknowledged: entries.filter(({ acknowledged }) => acknowledged !== null).length,
    unknown: entries.filter(({ unknown }) => unknown > 0).length,
    lostHandlers: entries.filter(({ refused }) => refused === 'RAFT_REQUEST_LOST').length,
    repeated: entries.filter(({ id, kind }) => kind === 'again' && (runs.get(id) ?? 0) > 1).length,
    // What was sent once more at the end must not have run: the later look counts.
    ...faultsOf(entries, executed(), stored),
    changed,
    elapsedMs: Math.round(performance.now() - startedMs)
  }
}

/** What broke a promise, by what the clients saw, how often handlers ran, and what each copy stores. Pure. */
export function faultsOf (
  entries: readonly Entry[],
  runs: ReadonlyMap<string, number>,
  stored: readonly ReadonlySet<string>[]
): Pick<OnceResult, 'lost' | 'doubled' | 'unexplained'> {
  const runsOf = ({ id }: Entry): number => runs.get(id) ?? 0
  const tell = (entry: Entry): string => `${entry.kind} ${entry.id}: ${runsOf(entry)} runs, ${entry.unknown} unknown`
  const isLost = (entry: Entry): boolean =>
    entry.acknowledged !== null && (runsOf(entry) === 0 || stored.some((ids) => !ids.has(entry.id)))
  return {
    lost: entries.filter(isLost).map(tell),
    doubled: entries.filter((entry) => entry.kind === 'once' && runsOf(entry) > 1).map(tell),
    unexplained: entries.filter((entry) => entry.kind === 'plain' && runsOf(entry) > 1 + entry.unknown).map(tell)
  }
}

/** Whether no promise was broken. Pure. */
export function isFaultless ({ lost, doubled, unexplained, changed }: OnceResult): boolean {
  return [lost, doubled, unexplained, changed].every((found) => found.length === 0)
}

async function disturb (cluster: NotesCluster, kind: RoundKind, random: () => number): Promise<void> {
  const leader = await cluster.leader()
  const others = cluster.copies.filter((copy) => copy !== leader)
  switch (kind) {
    case 'kill':
      await cluster.restart(leader)
      return
    case 'pause':
      leader.child.signal('SIGSTOP')
      try {
        // Now and then shorter than an election takes, now and then until another one leads, and longer.
        if (random() < 0.3) await delay(random() * 1_000)
        else {
          await untilLeads(others)
          await delay(random() * 600)
        }
      } finally {
        leader.child.signal('SIGCONT')
      }
      return
    case 'transfer':
      await send('POST', `${leader.url}/_cluster/v1/leader/transfer`, {})
  }
}

async function untilLeads (copies: readonly NotesCopy[]): Promise<void> {
  await pollUntil('another copy to lead', recoveryTimeoutMs, async () => {
    const statuses = await Promise.all(copies.map(async ({ url }) =>
      await getJson<ClusterStatus>(`${url}/_cluster/v1/status`, requestTimeoutMs)))
    return statuses.some((status) => status?.isLeader === true) ? true : null
  })
}

async function untilAcknowledged (writers: readonly LedgerClient[]): Promise<void> {
  const before = writers.map(({ acknowledged }) => acknowledged)
  await pollUntil('every client to be answered', recoveryTimeoutMs, async () =>
    writers.every(({ acknowledged }, at) => acknowledged >= (before[at] ?? 0) + 2) ? true : null)
}

/** How often handlers ran for each request, by the files of all copies. */
function runsIn ({ copies, directory }: NotesCluster): Map<string, number> {
  const runs = new Map<string, number>()
  for (const { id } of copies) {
    const path = join(directory, `${id}.ledger`)
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : []
    for (const line of lines) runs.set(line, (runs.get(line) ?? 0) + 1)
  }
  return runs
}

/** Sends everything with a key that was acknowledged once more: the same answer, marked. */
async function repeatAll (doors: readonly string[], entries: readonly Entry[]): Promise<readonly string[]> {
  const changed: string[] = []
  const keyed = entries.filter(({ kind, acknowledged }) => kind !== 'plain' && acknowledged !== null)
  let next = 0
  await Promise.all(Array.from({ length: clients }, async () => {
    for (let at = next++; at < keyed.length; at = next++) {
      const entry = keyed[at]
      if (entry === undefined) continue
      const again = await pollUntil(`an answer to ${entry.id}`, recoveryTimeoutMs, async () => {
        const outcome = await sendEntry(doors[at % doors.length] ?? '', entry)
        return outcome.kind === 'later' || outcome.kind === 'unknown' ? null : outcome
      })
      const isSame = again.kind === 'acknowledged' && again.isReplayed && again.body === entry.acknowledged
      if (!isSame) changed.push(`${entry.kind} ${entry.id}: ${JSON.stringify(again)}`)
    }
  }))
  return changed
}

/** What each copy stores, once it has applied all that was committed. */
async function storedIn (cluster: NotesCluster): Promise<readonly ReadonlySet<string>[]> {
  const leader = await cluster.leader()
  const goal = await cluster.status(leader)
  return await Promise.all(cluster.copies.map(async (copy) => {
    await pollUntil(`${copy.id} to catch up`, recoveryTimeoutMs, async () =>
      ((await cluster.status(copy))?.appliedIndex ?? -1) >= (goal?.commitIndex ?? Infinity) ? true : null)
    const stored = await getJson<{ readonly ids: readonly string[] }>(`${copy.url}/entries`, recoveryTimeoutMs)
    return new Set(stored?.ids ?? [])
  }))
}
