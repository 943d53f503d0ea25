import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { LocalCluster, LocalNode } from '../../../src/cli/local/local-cluster.ts'
import { pollUntil } from '../../../src/cli/local/polling.ts'
import { allEntries } from './kv-client.ts'
import { PacedWriter, writeMany } from './paced-writer.ts'

/** The result of restarting a node that missed a number of writes. */
export interface CatchUpResult {
  readonly entries: number
  readonly entriesPerSecond: number
  /** From the start of the process until it was ready: caught up, a leader known. */
  readonly readyAfterMs: number
  /** Snapshots that the leader reports as sent. The log is compacted, so at least one is needed. */
  readonly snapshotsSent: number
  readonly snapshotBytes: number
  /** Writes during the catch-up, by their answers. */
  readonly meanwhile: {
    readonly perSecond: number
    readonly acknowledged: number
    readonly failed: number
    readonly p50Ms: number
    readonly p99Ms: number
    readonly maxMs: number
  }
  /** Peak memory of each process, in MiB; empty on systems that do not report it. */
  readonly peakMiB: Readonly<Record<string, number>>
  /** Acknowledged writes that a node does not hold. */
  readonly lost: readonly string[]
  /** Nodes that differ from the first one. */
  readonly diverged: readonly string[]
}

export interface CatchUpOptions {
  /** Writes while the node is down. */
  readonly entries: number
  /** Writes a second while it catches up. */
  readonly rate: number
  readonly valueBytes: number
  readonly keys: number
  readonly onProgress?: (what: string) => void
}

const timeoutMs = 120_000
/** How long writes go on after the node is ready. */
const afterMs = 2_000

/** Stops a follower, writes, starts it again while writes go on, and compares all nodes in the end. */
export async function runCatchUp (
  cluster: LocalCluster,
  { entries, rate, valueBytes, keys, onProgress = () => {} }: CatchUpOptions
): Promise<CatchUpResult> {
  const leader = await cluster.waitForLeader(timeoutMs)
  const behind = cluster.followers(leader)[0]
  if (behind === undefined) throw new Error('there is no follower')
  await cluster.kill(behind.id)
  onProgress(`${behind.id} is down; writing ${entries} entries through ${leader.id}`)
  const writtenMs = performance.now()
  const kept = await writeMany(leader.url, { entries, valueBytes, keys })
  const entriesPerSecond = Math.round((entries / (performance.now() - writtenMs)) * 1_000)
  // A node that has applied less than this one snapshot covers cannot have caught up without it.
  for (const node of cluster.nodes) if (node.child.running) await takeSnapshot(node)
  onProgress(`wrote ${entriesPerSecond} a second; starting ${behind.id} while ${rate} a second go on`)
  const writer = new PacedWriter(leader.url, { rate, valueBytes })
  const startedMs = performance.now()
  await cluster.restart(behind.id, timeoutMs)
  const readyAfterMs = Math.round(performance.now() - startedMs)
  onProgress(`${behind.id} is ready after ${readyAfterMs} ms`)
  await delay(afterMs)
  const meanwhile = await writer.stop()
  const stored = await settled(cluster)
  const sent = await sentSnapshots(cluster)
  return {
    entries,
    entriesPerSecond,
    readyAfterMs,
    snapshotsSent: sent.length,
    snapshotBytes: Math.max(0, ...sent),
    meanwhile,
    peakMiB: await peakMemory(cluster),
    lost: lostWrites(stored, [...kept, ...writer.acknowledgedValues]),
    diverged: [...stored]
      .slice(1)
      .filter(([, text]) => text !== stored.values().next().value)
      .map(([id]) => id)
  }
}

async function takeSnapshot ({ url }: LocalNode): Promise<void> {
  const response = await fetch(`${url}/_cluster/v1/snapshot`, {
    method: 'POST',
    signal: AbortSignal.timeout(timeoutMs)
  })
  if (response.status !== 200) throw new Error(`no snapshot: ${await response.text()}`)
}

/** The applied entries of each node as JSON, as soon as it has applied everything committed. */
async function settled (cluster: LocalCluster): Promise<ReadonlyMap<string, string>> {
  const leader = await cluster.waitForLeader(timeoutMs)
  const goal = await pollUntil('the leader to tell its state', timeoutMs, async () => await cluster.status(leader.id))
  const stored = new Map<string, string>()
  for (const { id, url } of cluster.nodes) {
    await pollUntil(`${id} to catch up`, timeoutMs, async () =>
      ((await cluster.status(id))?.appliedIndex ?? 0) >= goal.commitIndex ? true : null
    )
    const entries = await pollUntil(`${id} to tell its entries`, timeoutMs, async () => await allEntries(url, 'local'))
    stored.set(id, JSON.stringify(entries))
  }
  return stored
}

function lostWrites (
  stored: ReadonlyMap<string, string>,
  written: ReadonlyArray<readonly [key: string, value: string]>
): string[] {
  return [...stored].flatMap(([id, text]) => {
    const values = new Map(
      (JSON.parse(text) as ReadonlyArray<{ readonly key: string; readonly value: unknown }>).map(({ key, value }) => [
        key,
        value
      ])
    )
    return written.filter(([key, value]) => values.get(key) !== value).map(([key]) => `${key} on ${id}`)
  })
}

/** Bytes of each snapshot that a node reports as sent and accepted. */
async function sentSnapshots (cluster: LocalCluster): Promise<readonly number[]> {
  const logs = await Promise.all(cluster.nodes.map(async ({ child }) => await readFile(child.command.logFile, 'utf8')))
  return logs.flatMap((log) => log.split('\n')).filter((line) => line.includes('"sent a snapshot"')).flatMap((line) => {
    const { bytes, isTaken } = JSON.parse(line) as { readonly bytes: number, readonly isTaken: boolean }
    return isTaken ? [bytes] : []
  })
}

async function peakMemory (cluster: LocalCluster): Promise<Record<string, number>> {
  const peaks: Record<string, number> = {}
  for (const { id, child } of cluster.nodes) {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '')
    const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? []
    if (kibibytes !== undefined) peaks[id] = Math.round(Number(kibibytes) / 1_024)
  }
  return peaks
}
