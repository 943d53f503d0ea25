import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Child } from '../../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { freePorts } from '../../../src/cli/local/ports.ts'
import type { GatewayStatus } from '../../../src/gateway/index.ts'
import type { NotesCopy } from './notes-cluster.ts'
import { NotesCluster } from './notes-cluster.ts'
import type { LoadFigures } from './notes-load.ts'
import { NotesLoad } from './notes-load.ts'
import { send } from './requests.ts'
import { StallWatch } from './stall-watch.ts'

/** How leadership moves as planned: by a call, or because its copy is restarted and drains first. */
export type HandoverKind = 'transfer' | 'drain'

/** What a run of handovers is made of. */
export interface HandoverOptions {
  /** The compiled command line, and the compiled `notes-app.ts`. */
  readonly programs: { readonly cli: string, readonly app: string }
  readonly rounds: number
  /** One after the other, in turn. */
  readonly kinds: readonly HandoverKind[]
  /** Requests a second, half of them writes. */
  readonly perSecond: number
  readonly onRound?: (round: HandoverRound) => void
}

/** One handover, with the requests from shortly before until after it. */
export interface HandoverRound {
  readonly kind: HandoverKind
  /** Longest time in which no request was answered. */
  readonly stallMs: number
  /** Slowest request. */
  readonly slowestMs: number
  readonly requests: number
  readonly failures: readonly string[]
}

/** The result of a run of handovers. */
export interface HandoverResult {
  readonly rounds: readonly HandoverRound[]
  readonly all: LoadFigures
  /** The slowest request, and the longest stall, while nothing was handed over: what this machine does by itself. */
  readonly quiet: { readonly stallMs: number, readonly slowestMs: number }
  /** Notes that some copy does not hold as they were acknowledged. */
  readonly lost: number
}

/** What `notes-app.ts` tells of its notes. */
interface StoredNotes {
  readonly notes: ReadonlyArray<readonly [key: string, text: string]>
}

const timeoutMs = 30_000
/** How long the load runs before and after each handover. */
const aroundMs = 400
/** As long as a gateway could take to notice by asking, several times over. */
const drainMs = 500
const quietMs = 3_000
const stopGraceMs = 6_000

/** Hands leadership over again and again, while clients write and read through a gateway. */
export async function runHandovers (options: HandoverOptions): Promise<HandoverResult> {
  const { programs, rounds, kinds, perSecond, onRound } = options
  const cluster = await NotesCluster.start({ program: programs.app, args: ['--drain-ms', String(drainMs)] })
  const [port = 0] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  const nodes = cluster.copies.map((copy) => copy.url).join()
  const gateway = new Child({
    name: 'gateway',
    args: [programs.cli, 'gateway', '--nodes', nodes, '--listen', `127.0.0.1:${port}`, '--admin-on-traffic'],
    logFile: join(cluster.directory, 'gateway.log')
  })
  try {
    gateway.start()
    await pollUntil('the gateway to know all copies', timeoutMs, async () => {
      const status = await getJson<GatewayStatus>(`${url}/_gateway/status`, timeoutMs)
      return status?.nodes.every(({ isWatched }) => isWatched) === true ? true : null
    })
    const load = new NotesLoad({ urls: [url], perSecond })
    // Connections are open, and code is compiled.
    await delay(quietMs)
    const quiet = await watched(load, async () => { await delay(quietMs) })
    const done: HandoverRound[] = []
    for (let at = 0; at < rounds; at++) {
      const kind = kinds[at % kinds.length] ?? 'transfer'
      const leader = await cluster.leader()
      const round = { kind, ...await watched(load, async () => { await handOver(cluster, leader, kind) }) }
      done.push(round)
      onRound?.(round)
      if (kind === 'drain') {
        await leader.child.exited
        leader.child.start()
        await cluster.ready()
      }
    }
    const all = await load.stop()
    return { rounds: done, all, quiet, lost: await lostNotes(cluster, load.acknowledged) }
  } finally {
    await gateway.stop(stopGraceMs)
    await cluster.stop()
  }
}

async function watched (load: NotesLoad, work: () => Promise<void>): Promise<Omit<HandoverRound, 'kind'>> {
  const window = load.window()
  const stall = new StallWatch(() => load.answered)
  await delay(aroundMs)
  await work()
  await delay(aroundMs)
  const stallMs = stall.end()
  const { maxMs, requests, failures } = window.end()
  return { stallMs, slowestMs: maxMs, requests, failures }
}

async function handOver (cluster: NotesCluster, leader: NotesCopy, kind: HandoverKind): Promise<void> {
  if (kind === 'drain') {
    leader.child.signal('SIGTERM')
    await leader.child.exited
    return
  }
  const answer = await send('POST', `${leader.url}/_cluster/v1/leader/transfer`, {})
  if (answer.status !== 200) throw new Error(`the transfer was answered ${answer.status} ${answer.text}`)
  await pollUntil('another leader', timeoutMs, async () => (await cluster.leader()) === leader ? null : true)
}

async function lostNotes (cluster: NotesCluster, acknowledged: ReadonlyMap<string, string>): Promise<number> {
  const expected = JSON.stringify([...acknowledged].sort(([one], [other]) => one < other ? -1 : 1))
  let lost = 0
  for (const { url } of cluster.copies) {
    const endsAtMs = performance.now() + timeoutMs
    for (;;) {
      const stored = await getJson<StoredNotes>(`${url}/stored`, timeoutMs)
      if (JSON.stringify(stored?.notes) === expected) break
      if (performance.now() > endsAtMs) {
        const held = new Map(stored?.notes)
        lost += [...acknowledged].filter(([key, text]) => held.get(key) !== text).length
        break
      }
      await delay(50)
    }
  }
  return lost
}
