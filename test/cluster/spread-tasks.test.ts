import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { Child } from '../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'
import { noteKilled, readJournal, runsAtWork } from './support/run-journal.ts'

/** As `npm run build:tools` leaves it. */
const program = fileURLToPath(new URL('../../build/test/cluster/tools/working-app.js', import.meta.url))
const workers = ['worker 0', 'worker 1', 'worker 2', 'worker 3', 'worker 4', 'worker 5']
const tasks = ['spread', ...workers]

interface Copy {
  readonly id: string
  readonly url: string
  readonly child: Child
}

/** Three copies with a singleton that is spread and six workers. */
async function startCopies () {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-spread-'))
  onTestFinished(async () => { await rm(directory, { recursive: true, force: true }) })
  const journal = join(directory, 'runs.ndjson')
  const urls = (await freePorts(3)).map((port) => `http://127.0.0.1:${port}`)
  const members = urls.map((url, at) => `n${at + 1}=${url}`).join(',')
  const copies = urls.map((url, at): Copy => {
    const id = `n${at + 1}`
    const args = [program, '--id', id, '--members', members, '--data-dir', join(directory, id), '--drain-ms', '200']
    const child = new Child({
      name: id,
      args: [...args, '--journal', journal, '--spread'],
      logFile: join(directory, `${id}.log`)
    })
    onTestFinished(async () => { await child.kill('SIGKILL') })
    return { id, url, child }
  })
  return { journal, copies }
}

async function start ({ id, url, child }: Copy): Promise<void> {
  child.start()
  await pollUntil(`${id} to be ready`, 60_000, async () => {
    if (!child.running) throw new Error(`${id} ended while it was starting:\n${child.logTail()}`)
    return await getJson(`${url}/_cluster/v1/readyz`, 5_000)
  })
}

/** Resolves with how many workers each of these copies has, when all tasks run and the workers are even. */
async function spreadOver (journal: string, ids: readonly string[]): Promise<void> {
  await pollUntil(`tasks on ${ids.join()}`, 30_000, async () => {
    const runs = await runsAtWork(journal)
    if (!tasks.every((task) => ids.includes(runs.get(task)?.node ?? ''))) return null
    const loads = ids.map((id) => workers.filter((task) => runs.get(task)?.node === id).length)
    return loads.every((load) => load === workers.length / ids.length) ? loads : null
  })
}

it('tasks move over copies that drain, come back and are killed: no overlap, and a gap only behind a kill', async () => {
  const { journal, copies } = await startCopies()
  await Promise.all(copies.map(start))
  const ids = copies.map(({ id }) => id)
  await spreadOver(journal, ids)

  // Each of them drains, and comes back: so also the one with the singleton, and the leader.
  for (const copy of copies) {
    const others = ids.filter((id) => id !== copy.id)
    expect(await copy.child.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    await spreadOver(journal, others)
    await start(copy)
    await spreadOver(journal, ids)
  }
  const planned = await Promise.all(tasks.map(async (task) => await readJournal(journal, task)))
  for (const { runs, overlaps, gapsMs } of planned) {
    expect(overlaps).toEqual([])
    expect([...gapsMs.keys()].filter((reason) => reason !== 'RAFT_HANDOVER')).toEqual([])
    // Usually some 20 ms.
    expect(Math.max(0, ...gapsMs.get('RAFT_HANDOVER') ?? [])).toBeLessThan(500)
    expect(runs).toBeGreaterThan(0)
  }

  const place = (await runsAtWork(journal)).get('spread')?.node
  const killed = copies.find(({ id }) => id === place)
  await killed?.child.kill('SIGKILL')
  await noteKilled(journal, killed?.id ?? '')
  await spreadOver(journal, ids.filter((id) => id !== killed?.id))
  for (const task of tasks) expect((await readJournal(journal, task)).overlaps).toEqual([])
}, 120_000)
