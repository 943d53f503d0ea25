import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../src/cli/local/ports.ts'
import { until } from '../support/until.ts'
import { send } from './support/requests.ts'
import type { RunningCli } from './support/run-cli.ts'
import { runCli, startCli } from './support/run-cli.ts'

/** The command that starts another one in a network namespace of its own, as a container has; null: not permitted. */
const namespace = [['unshare', '--net'], ['unshare', '--map-root-user', '--net']].find(
  ([command = '', ...args]) => spawnSync(command, [...args, 'true']).status === 0
) ?? null

const raft = fileURLToPath(new URL('../../dist/src/raft/index.js', import.meta.url))

/** Opens the log of a directory, says how that went, and keeps it until it is killed. */
const opening = `
  const { FileStorage } = await import(process.env.RAFT_INDEX)
  const identity = { clusterId: 'orders', nodeId: 'n1' }
  const storage = new FileStorage({ directory: process.env.RAFT_DIRECTORY, identity, minFreeBytes: 0 })
  const result = await storage.open().then(() => 'opened', (error) => error.code)
  process.stdout.write(result)
  setInterval(() => {}, 1000)
`

let base = ''
let directory = ''

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'fastify-raft-owner-'))
  directory = join(base, 'data')
})
afterEach(async () => { await rm(base, { recursive: true, force: true }) })

/** A process that opens the directory; resolves with how that went. */
async function opener (within: readonly string[]): Promise<{ readonly child: ChildProcess, readonly result: string }> {
  const [command = '', ...args] = [...within, process.execPath, '--input-type=module', '-e', opening]
  const child = spawn(command, args, {
    env: { ...process.env, RAFT_INDEX: raft, RAFT_DIRECTORY: directory },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  onTestFinished(() => { child.kill('SIGKILL') })
  const [text] = await once(child.stdout, 'data') as [Buffer]
  return { child, result: text.toString() }
}

async function kill (child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** Visible as skipped where a process may not have its own network namespace. */
describe.skipIf(namespace === null)('two network namespaces on one data directory', () => {
  const within = namespace ?? []

  it('the second node is refused, the first goes on, and the log stays sound', async () => {
    const [port = 0] = await freePorts(1)
    const url = `http://127.0.0.1:${port}`
    const args = ['node', '--id', 'n1', '--listen', `127.0.0.1:${port}`, '--data-dir', directory]
    const put = async (key: string): Promise<number> => (await send('PUT', `${url}/_cluster/v1/kv/${key}`, { value: 1 })).status
    const start = async (): Promise<RunningCli> => {
      const node = startCli(args, { timeoutMs: 60_000 })
      onTestFinished(() => { node.signal('SIGKILL') })
      await until('it leads', async () =>
        await send('GET', `${url}/_cluster/v1/leader`).then(({ status }) => status === 200, () => false))
      return node
    }
    const first = await start()
    expect(await put('before')).toBe(200)

    for (let attempt = 0; attempt < 3; attempt++) {
      const second = await runCli(args, { within })
      expect(second).toMatchObject({ code: 1, signal: null })
      expect(second.errors).toContain('another running node has it open')
      expect(second.errors).toContain('RAFT_DATA_DIR')
    }
    expect(await runCli(['wal', 'verify', directory], { within })).toMatchObject({
      code: 3,
      errors: expect.stringContaining('another running node has it open. (RAFT_DATA_DIR)') as string
    })
    expect(await put('after')).toBe(200)

    first.signal('SIGKILL')
    await first.ended
    expect(await readdir(directory)).toContain('claim')
    expect(await runCli(['wal', 'verify', directory], { within })).toMatchObject({ code: 0, errors: '' })
    const again = await start()
    for (const key of ['before', 'after']) {
      expect((await send('GET', `${url}/_cluster/v1/kv/${key}`)).status, key).toBe(200)
    }
    again.signal('SIGTERM')
    expect(await again.ended).toMatchObject({ code: 0 })
    expect(await readdir(directory)).not.toContain('claim')
    expect(await runCli(['wal', 'verify', directory])).toMatchObject({ code: 0, errors: '' })
  })

  it('of several that start at once after the owner was killed, exactly one opens the log', async () => {
    let { child: owner } = await opener(within)
    for (let round = 0; round < 5; round++) {
      await kill(owner)
      const openers = await Promise.all(Array.from({ length: 5 }, () => opener(within)))
      expect(openers.map(({ result }) => result).sort(), `round ${round}`).toEqual([
        ...Array<string>(4).fill('RAFT_DATA_DIR'),
        'opened'
      ])
      for (const { child, result } of openers) {
        if (result === 'opened') owner = child
        else await kill(child)
      }
    }
    await kill(owner)
    expect(await runCli(['wal', 'verify', directory])).toMatchObject({ code: 0, errors: '' })
  })
})

describe('two workers of node:cluster on one data directory', () => {
  it('do not share it', async () => {
    const script = `
      import cluster from 'node:cluster'
      if (cluster.isPrimary) {
        cluster.fork()
        cluster.fork()
      } else {${opening}}
    `
    await writeFile(join(base, 'workers.mjs'), script)
    const child = spawn(process.execPath, [join(base, 'workers.mjs')], {
      env: { ...process.env, RAFT_INDEX: raft, RAFT_DIRECTORY: directory },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    onTestFinished(() => { child.kill('SIGTERM') })
    let output = ''
    child.stdout.on('data', (text: Buffer) => { output += text.toString() })
    await until('both have tried', () => output.length >= 'openedRAFT_DATA_DIR'.length)
    expect(['openedRAFT_DATA_DIR', 'RAFT_DATA_DIRopened']).toContain(output)
  })
})
