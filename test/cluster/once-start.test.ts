import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { Child } from '../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'

/** As `npm run build:tools` leaves it. */
const program = fileURLToPath(new URL('../../build/test/cluster/tools/once-app.js', import.meta.url))

/** A line of the journal. */
interface Line {
  readonly kind: 'begin' | 'result'
  readonly node: string
  readonly attempt?: number
  readonly previous?: string | null
  readonly token?: string
  readonly result?: unknown
}

it('three copies start together, the one at work is killed half way: one of the others does it, told of the crash', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-once-'))
  onTestFinished(async () => { await rm(directory, { recursive: true, force: true }) })
  const journal = join(directory, 'once.ndjson')
  const urls = (await freePorts(3)).map((port) => `http://127.0.0.1:${port}`)
  const members = urls.map((url, at) => `n${at + 1}=${url}`).join(',')
  const copies = urls.map((url, at) => {
    const id = `n${at + 1}`
    const args = [program, '--id', id, '--members', members, '--data-dir', join(directory, id), '--journal', journal]
    const child = new Child({ name: id, args, logFile: join(directory, `${id}.log`) })
    onTestFinished(async () => { await child.kill('SIGKILL') })
    child.start()
    return { id, url, child }
  })
  const lines = async (kind: Line['kind']): Promise<readonly Line[]> =>
    (await readFile(journal, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line).filter((line) => line.kind === kind)

  const first = await pollUntil('the first attempt', 60_000, async () => (await lines('begin'))[0] ?? null)
  expect(first).toMatchObject({ attempt: 1, previous: null })
  const killed = copies.find(({ id }) => id === first.node)
  await killed?.child.kill('SIGKILL')
  const results = async (count: number) => await pollUntil(`${count} results`, 60_000, async () => {
    const found = await lines('result')
    return found.length === count ? found : null
  })
  await results(2)
  // Its own copy gets the result as well when it is back.
  killed?.child.start()
  const ended = await results(3)
  const begun = await lines('begin')
  expect(begun).toHaveLength(2)
  const [, second] = begun
  expect(second).toMatchObject({ attempt: 2, previous: 'crashed' })
  expect(second?.node).not.toBe(first.node)
  expect(Number(second?.token)).toBeGreaterThan(Number(first.token))
  expect(ended.map(({ result }) => result)).toEqual(Array(3).fill({ by: second?.node, attempt: 2 }))
  expect(new Set(ended.map(({ node }) => node)).size).toBe(3)
  const detail = await getJson(`${copies[0]?.url}/_cluster/v1/once-result?name=migrate&version=1`, 5_000)
  expect(detail).toMatchObject({ state: 'done', node: second?.node, attempt: 2, previous: 'crashed' })
}, 120_000)
