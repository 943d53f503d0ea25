import { mkdir } from 'node:fs/promises'
import { LocalCluster } from '../src/cli/local/local-cluster.ts'
import { EtcdCluster } from './etcd-cluster.ts'
import { cpuMicrosOf } from './process-cpu.ts'
import type { Front } from './sketch-cluster.ts'
import { SketchCluster } from './sketch-cluster.ts'
import type { Load, WriteTarget } from './writes-load.ts'
import { requestBytes, writeFor } from './writes-load.ts'

/** What is written: a value of so many bytes under each of so many keys in turn. */
export const written = { keys: 1_000, valueBytes: 256 } as const

const keys = Array.from({ length: written.keys }, (_, at) => `bench-key-${at}`)
const value = 'v'.repeat(written.valueBytes)

/** Which node the writes are sent to. */
export type Receiver = 'leader' | 'follower'

/** Where the writes go now, and which process leads. */
interface Aim {
  readonly target: WriteTarget
  readonly leaderPid: number
}

/** A cluster that takes writes. */
export interface Contender {
  readonly name: string
  readonly pids: readonly number[]
  /** Looked up before every turn: leadership may have moved. */
  readonly aim: () => Promise<Aim>
  readonly stop: () => Promise<void>
}

/** One turn of load on one cluster. */
export interface Turn {
  readonly load: Load
  /** Processor time of all its processes, and of the one that leads; null where the system does not tell. */
  readonly cpuMicros: number | null
  readonly leaderCpuMicros: number | null
}

function pick (urls: readonly string[], leader: string, to: Receiver): string {
  const url = to === 'leader' ? leader : urls.find((one) => one !== leader)
  if (url === undefined) throw new Error('there is no such node')
  return url
}

/** Writes in the form of a fastify-raft node. */
function puts (url: string): WriteTarget {
  const body = JSON.stringify({ value })
  return { url, requests: keys.map((key) => requestBytes('PUT', new URL(`/_cluster/v1/kv/${key}`, url), body)) }
}

/** What a cluster of `fastify-raft node` is started with. */
interface OurOptions {
  readonly name: string
  /** The command line of its build. */
  readonly program: string
  /** Its files go below this directory, which is created. */
  readonly directory: string
  readonly voters?: number
  readonly to?: Receiver
}

export async function startOurs (
  { name, program, directory, voters = 3, to = 'leader' }: OurOptions
): Promise<Contender> {
  await mkdir(directory)
  const cluster = await LocalCluster.start({ program, gateway: false, dataDir: directory, size: voters })
  return {
    name,
    pids: cluster.nodes.map(({ child }) => child.pid ?? 0),
    aim: async () => {
      const { url } = await cluster.waitForLeader()
      const leader = cluster.nodes.find((node) => node.url === url)
      const target = puts(pick(cluster.nodes.map((node) => node.url), url, to))
      return { target, leaderPid: leader?.child.pid ?? 0 }
    },
    stop: () => cluster.stop()
  }
}

export async function startSketch (directory: string, front: Front): Promise<Contender> {
  const cluster = await SketchCluster.start(directory, front)
  return {
    name: `sketch on ${front}`,
    pids: cluster.pids,
    aim: async () => ({ target: puts(cluster.url), leaderPid: cluster.pids[0] ?? 0 }),
    stop: () => cluster.stop()
  }
}

export async function startEtcd (name: string, directory: string, to: Receiver): Promise<Contender> {
  const cluster = await EtcdCluster.start(directory)
  return {
    name,
    pids: cluster.pids,
    aim: async () => {
      const leader = await cluster.leaderUrl()
      const url = pick(cluster.urls, leader, to)
      const base64 = (text: string): string => Buffer.from(text).toString('base64')
      const requests = keys.map((key) =>
        requestBytes('POST', new URL('/v3/kv/put', url), JSON.stringify({ key: base64(key), value: base64(value) })))
      return { target: { url, requests }, leaderPid: cluster.pids[cluster.urls.indexOf(leader)] ?? 0 }
    },
    stop: () => cluster.stop()
  }
}

/** Loads one cluster for a while. */
export async function takeTurn (contender: Contender, clients: number, milliseconds: number): Promise<Turn> {
  const { target, leaderPid } = await contender.aim()
  const used = async (): Promise<readonly [number | null, number | null]> =>
    [await cpuMicrosOf(contender.pids), await cpuMicrosOf([leaderPid])]
  const before = await used()
  const load = await writeFor(target, clients, milliseconds)
  const after = await used()
  return { load, cpuMicros: difference(after[0], before[0]), leaderCpuMicros: difference(after[1], before[1]) }
}

function difference (after: number | null, before: number | null): number | null {
  return before === null || after === null ? null : after - before
}
