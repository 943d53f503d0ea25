import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { getJson, pollUntil } from '../../src/cli/local/polling.ts'
import { type AppNode, createNodes, killNodes, leaderOf } from './support/app-nodes.ts'

/** As `npm run build:tools` leaves it. */
const program = fileURLToPath(new URL('../../build/test/cluster/tools/blocked-app.js', import.meta.url))

interface Line {
  readonly kind: string
  readonly leaseEndsAtMs?: number
  readonly checked?: string
  readonly written?: string
  readonly outcome?: string
}

interface BlockedCopies {
  readonly nodes: readonly AppNode[]
  /** The one that blocks. */
  readonly node: AppNode
  readonly journal: string
}

/** Three copies that work under a singleton or a lock; resolves with the one that does, just before it blocks. */
async function copyThatBlocks (under: 'singleton' | 'lock', onLeaseLost: 'abort' | 'exit'): Promise<BlockedCopies> {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-blocked-'))
  onTestFinished(async () => { await rm(directory, { recursive: true, force: true }) })
  const journalOf = (id: string): string => join(directory, `${id}.ndjson`)
  const nodes = await createNodes({
    program,
    count: 3,
    directory,
    more: (id) => ['--journal', journalOf(id), '--under', under, '--on-lease-lost', onLeaseLost]
  })
  onTestFinished(async () => { await killNodes(nodes) })
  for (const { child } of nodes) child.start()
  await leaderOf(nodes)
  const node = await workingOne(nodes, (state) => under === 'lock' || state.isLeader)
  await fetch(`${node.url}/block`, { method: 'POST' })
  return { nodes, node, journal: journalOf(node.id) }
}

interface Working {
  readonly isWorking: boolean
  readonly isLeader: boolean
}

async function workingOne (nodes: readonly AppNode[], isIt: (state: Working) => boolean): Promise<AppNode> {
  return await pollUntil('a copy that works', 60_000, async () => {
    for (const node of nodes) {
      const state = await getJson<Working>(`${node.url}/working`, 5_000)
      if (state?.isWorking === true && isIt(state)) return node
    }
    return null
  })
}

async function lineOf (journal: string, wanted: string): Promise<Line> {
  return await pollUntil(`a line with ${wanted}`, 30_000, async () =>
    (await linesOf(journal)).find(({ kind }) => kind === wanted) ?? null)
}

async function linesOf (journal: string): Promise<readonly Line[]> {
  // The answer that the copy is about to block comes before its first line.
  if (!existsSync(journal)) return []
  const text = await readFile(journal, 'utf8')
  return text.split('\n').slice(0, -1).map((line) => JSON.parse(line) as Line)
}

describe('a singleton that blocks the event loop for 3 s', () => {
  it('is told by check() when it wakes, before any write of it is accepted', async () => {
    const { journal } = await copyThatBlocks('singleton', 'abort')
    const woke = await lineOf(journal, 'woke')
    expect(woke.checked).toMatch(/^RAFT_(LEADERSHIP_LOST|LEASE_LOST|QUORUM_LOST)$/)
    expect(woke.written).toBe('RAFT_FENCED')
  })

  it('is gone with its process within 200 ms of the end of the lease, with onLeaseLost: exit', async () => {
    const { node: { child }, journal } = await copyThatBlocks('singleton', 'exit')
    const exit = await child.exited
    const endedAtMs = Number(process.hrtime.bigint()) / 1e6
    expect(exit).toEqual({ code: null, signal: 'SIGKILL' })
    const lines = await linesOf(journal)
    expect(lines.map(({ kind }) => kind)).toEqual(['blocked'])
    expect(endedAtMs - (lines[0]?.leaseEndsAtMs ?? 0)).toBeLessThan(200)
    expect(child.logTail().trim().split('\n').at(-1)).toMatch(/^fastify-raft: this process ends now, because .*"blocked"/)
  })
})

describe('the holder of a lock that blocks the event loop for 3 s', () => {
  it('is told by check() when it wakes, while the next one works, and none of its writes is accepted', async () => {
    const { nodes, node, journal } = await copyThatBlocks('lock', 'abort')
    const next = await workingOne(nodes.filter(({ id }) => id !== node.id), () => true)
    const woke = await lineOf(journal, 'woke')
    expect(woke).toMatchObject({ checked: 'RAFT_LOCK_LOST', written: 'RAFT_FENCED' })
    // Its work ended well, and is told nevertheless that it was not alone.
    expect(await lineOf(journal, 'ended')).toMatchObject({ outcome: 'RAFT_LOCK_LOST' })
    expect(await getJson(`${node.url}/by`, 5_000)).toEqual({ by: next.id })
  })
})
