import { readFile } from 'node:fs/promises'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Child } from '../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'

/** As `npm run build:tools` leaves it. */
const program = fileURLToPath(new URL('../../build/test/cluster/tools/blocked-app.js', import.meta.url))

interface Line {
  readonly kind: string
  readonly leaseEndsAtMs?: number
  readonly checked?: string
  readonly written?: string
}

/** Three copies with a singleton; resolves with the one that runs it, just before it blocks. */
async function leaderThatBlocks (onLeaseLost: 'abort' | 'exit') {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-blocked-'))
  onTestFinished(async () => { await rm(directory, { recursive: true, force: true }) })
  const urls = (await freePorts(3)).map((port) => `http://127.0.0.1:${port}`)
  const members = urls.map((url, at) => `n${at + 1}=${url}`).join(',')
  const copies = urls.map((url, at) => {
    const id = `n${at + 1}`
    const journal = join(directory, `${id}.ndjson`)
    const args = [program, '--id', id, '--members', members, '--data-dir', join(directory, id), '--journal', journal]
    const child = new Child({
      name: id,
      args: [...args, '--on-lease-lost', onLeaseLost],
      logFile: join(directory, `${id}.log`)
    })
    child.start()
    onTestFinished(async () => { await child.kill('SIGKILL') })
    return { url, child, journal }
  })
  const leader = await pollUntil('a singleton that works', 60_000, async () => {
    for (const copy of copies) {
      const state = await getJson<{ readonly isWorking: boolean, readonly isLeader: boolean }>(`${copy.url}/working`, 5_000)
      if (state?.isWorking === true && state.isLeader) return copy
    }
    return null
  })
  await fetch(`${leader.url}/block`, { method: 'POST' })
  return leader
}

async function linesOf (journal: string): Promise<readonly Line[]> {
  return (await readFile(journal, 'utf8')).trim().split('\n').map((line) => JSON.parse(line) as Line)
}

describe('a singleton that blocks the event loop for 3 s', () => {
  it('is told by check() when it wakes, before any write of it is accepted', async () => {
    const { journal } = await leaderThatBlocks('abort')
    const woke = await pollUntil('it to wake', 30_000, async () =>
      (await linesOf(journal)).find(({ kind }) => kind === 'woke') ?? null)
    expect(woke.checked).toMatch(/^RAFT_(LEADERSHIP_LOST|LEASE_LOST|QUORUM_LOST)$/)
    expect(woke.written).toBe('RAFT_FENCED')
  })

  it('is gone with its process within 200 ms of the end of the lease, with onLeaseLost: exit', async () => {
    const { child, journal } = await leaderThatBlocks('exit')
    const exit = await child.exited
    const endedAtMs = Number(process.hrtime.bigint()) / 1e6
    expect(exit).toEqual({ code: null, signal: 'SIGKILL' })
    const lines = await linesOf(journal)
    expect(lines.map(({ kind }) => kind)).toEqual(['blocked'])
    expect(endedAtMs - (lines[0]?.leaseEndsAtMs ?? 0)).toBeLessThan(200)
    expect(child.logTail().trim().split('\n').at(-1)).toMatch(/^fastify-raft: this process ends now, because .*"blocked"/)
  })
})
