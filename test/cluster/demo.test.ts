import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isGone } from './support/requests.ts'
import { runCli, startCli } from './support/run-cli.ts'

let directory: string

beforeEach(async () => { directory = await mkdtemp(join(tmpdir(), 'fastify-raft-demo-')) })
afterEach(async () => { await rm(directory, { recursive: true, force: true }) })

describe('fastify-raft demo', () => {
  it('prints what happens, finds that everything held, and leaves nothing behind', async () => {
    const run = await runCli(['demo'], { environment: { TMPDIR: directory }, timeoutMs: 90_000 })
    expect(run).toMatchObject({ code: 0, errors: '' })
    expect(run.elapsedMs).toBeLessThan(60_000)
    for (const step of [
      /first order posted through follower n\d, executed by n\d/,
      /SIGKILL to the leader, n\d/,
      /next order through gateway: \d+ ms after the kill/,
      /n\d leads now/,
      /the outbox sends on n\d/,
      /n\d has caught up/,
      /\d+ orders were acknowledged/,
      /Everything held, in/
    ]) {
      expect(run.output).toMatch(step)
    }
    expect(run.output.match(/^ {2}ok /gm)?.length).toBeGreaterThanOrEqual(12)
    expect(run.output).not.toContain('FAIL')
    for (const url of run.output.match(/http:\/\/127\.0\.0\.1:\d+/g) ?? []) expect(await isGone(url)).toBe(true)
    expect(await readdir(directory)).toEqual([])
  })

  it('stops everything when it is interrupted', async () => {
    const demo = startCli(['demo', '--data-dir', directory], { timeoutMs: 90_000 })
    const output = await demo.printed('clients keep posting')
    demo.signal('SIGINT')
    expect(await demo.ended).toMatchObject({ code: 130, errors: '' })
    for (const url of output.match(/http:\/\/127\.0\.0\.1:\d+/g) ?? []) expect(await isGone(url)).toBe(true)
    // The directory belongs to the caller, and the data stays in it.
    expect(await readdir(directory)).toHaveLength(1)
  })
})
