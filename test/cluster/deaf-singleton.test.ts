import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { Child } from '../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'

/** As `npm run build:tools` leaves it. */
const program = fileURLToPath(new URL('../../build/test/cluster/tools/working-app.js', import.meta.url))

it('a process whose singleton ignores its signal ends by itself after SIGTERM, and says whose fault it was', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-deaf-'))
  onTestFinished(async () => { await rm(directory, { recursive: true, force: true }) })
  const [port = 0] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  const args = [program, '--members', `n1=${url}`, '--data-dir', join(directory, 'n1')]
  const child = new Child({
    name: 'n1',
    args: [...args, '--close-timeout-ms', '500', '--deaf'],
    logFile: join(directory, 'n1.log')
  })
  child.start()
  onTestFinished(async () => { await child.kill('SIGKILL') })
  await pollUntil('it to be ready', 30_000, async () => await getJson(`${url}/_cluster/v1/readyz`, 5_000))
  const startedMs = performance.now()
  expect(await child.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  expect(performance.now() - startedMs).toBeLessThan(10_000)
  expect(child.logTail()).toMatch(/"singleton":"deaf"[^\n]*the singleton ignores its signal/)
})
