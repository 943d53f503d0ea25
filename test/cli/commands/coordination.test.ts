import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { runCoordination } from '../../../src/cli/commands/coordination.ts'
import { parseCommandLine } from '../../../src/cli/flags/command-line.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'

/** A node that listens, and what runs a command line against it. */
async function startNode () {
  const app = Fastify()
  await app.register(cluster)
  onTestFinished(async () => { await app.close() })
  const runs: string[] = []
  app.cluster.schedule('report', '0 3 * * *', ({ scheduledFor }) => { runs.push(scheduledFor.toISOString()) })
  await app.listen({ port: 0, host: '127.0.0.1' })
  await app.cluster.waitForLeadership()
  const node = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const run = async (...argv: readonly string[]): Promise<string[]> => {
    const lines: string[] = []
    const print = (line: string): void => { lines.push(line) }
    const command = parseCommandLine([...argv, '--node', node], {})
    switch (command.kind) {
      case 'locks': case 'sessions': case 'schedules': case 'tasks': await runCoordination(command, print); break
      default: throw new Error(`${command.kind} is another command`)
    }
    return lines
  }
  return { app, run, runs }
}

describe('locks and sessions on the command line', () => {
  it('list what is held and by whom, and end it', async () => {
    const { app, run } = await startNode()
    expect(await run('locks')).toEqual(['no locks'])
    expect(await run('sessions')).toEqual(['no sessions'])
    const kept = await app.cluster.lock('a').acquire()
    const brief = await app.cluster.lock('a much longer name').acquire({ ttlMs: 60_000, owner: 'somebody' })
    const waiting = app.cluster.lock('a').acquire({ timeoutMs: 60_000 })
    await until('one waits', async () => (await run('locks'))[0]?.endsWith('1 waiting') === true)
    const [session = ''] = (await run('sessions', 'list'))[0]?.split(' ') ?? []
    expect(await run('sessions')).toEqual([`${session}  n1  10000 ms  of a copy`])
    expect(await run('locks', 'list')).toEqual([
      `a                   held by n1        token ${kept.token}  by session ${session}  1 waiting`,
      `a much longer name  held by somebody  token ${brief.token}  for 60000 ms`
    ])
    expect(await run('locks', '--prefix', 'a ')).toEqual([
      `a much longer name  held by somebody  token ${brief.token}  for 60000 ms`
    ])
    expect(await run('locks', 'release', '--name', 'a', '--token', kept.token))
      .toEqual([`a with token ${kept.token} is released`])
    const next = await waiting
    expect(await run('locks', 'show', '--name', 'a')).toEqual([`a  held by n1  token ${next.token}  by session ${session}`])
    await expect(run('locks', 'release', '--name', 'a', '--token', kept.token)).rejects.toThrow('(RAFT_LOCK_LOST)')
    expect(await run('sessions', 'end', '--session', session)).toEqual([`session ${session} has ended`])
    await expect(run('locks', 'show', '--name', 'a')).rejects.toThrow('(RAFT_LOCK_FREE)')
  })

  it('read all pages of a long list', async () => {
    const { app, run } = await startNode()
    const names = Array.from({ length: 1_050 }, (_, at) => `lock ${at}`)
    await Promise.all(names.map(async (name) => await app.cluster.lock(name).acquire()))
    expect(await run('locks')).toHaveLength(1_050)
  })
})

describe('schedules on the command line', () => {
  it('show what is to come and what was, and change it', async () => {
    const { run, runs } = await startNode()
    await until('it is defined', async () => (await run('schedules'))[0]?.startsWith('report') === true)
    expect((await run('schedules', 'list'))[0]).toMatch(/^report {2}0 3 \* \* \* {2}UTC {2}next \d{4}-\d\d-\d\dT03:00:00.000Z$/)
    expect(await run('schedules', 'preview', '--name', 'report', '--count', '3')).toHaveLength(3)
    expect(await run('schedules', 'history', '--name', 'report')).toEqual(['no runs yet'])
    expect(await run('schedules', 'run', '--name', 'report')).toEqual(['report runs now'])
    await until('its end', async () => (await run('schedules', 'history', '--name', 'report'))[0] !== 'no runs yet')
    expect((await run('schedules', 'history', '--name', 'report'))[0]).toMatch(/attempt 1 {2}n1 {2}completed/)
    const paused = await run('schedules', 'pause', '--name', 'report', '--reason', 'a holiday')
    expect(paused[0]).toBe('report  0 3 * * *  UTC  paused: a holiday')
    expect(paused[1]).toBe('delivery at-most-once, overlap skip, missed one')
    expect((await run('schedules', 'resume', '--name', 'report'))[0]).toMatch(/ next \d/)
    expect(await run('schedules', 'backfill', '--name', 'report', '--from', '2027-03-01T00:00:00Z', '--to', '2027-03-03T00:00:00Z'))
      .toEqual(['report runs for 2 slots'])
    await until('all runs', () => runs.length === 3)
    expect(runs.slice(1)).toEqual(['2027-03-01T03:00:00.000Z', '2027-03-02T03:00:00.000Z'])
    expect((await run('schedules', 'show', '--name', 'report'))[2]).toMatch(/0 missed, 0 skipped$/)
    expect(await run('schedules', 'remove', '--name', 'report')).toEqual(['report is removed'])
    // This copy leads and registers it, so that it comes back.
    await until('it is new', async () =>
      (await run('schedules', 'history', '--name', 'report').catch(() => []))[0] === 'no runs yet')
    await expect(run('schedules', 'show', '--name', 'another')).rejects.toThrow('(RAFT_SCHEDULE_UNKNOWN)')
  })
})

describe('tasks on the command line', () => {
  it('lists where each is, and what was done once', async () => {
    const { app, run } = await startNode()
    expect(await run('tasks')).toEqual(['no tasks'])
    expect(await run('tasks', 'once')).toEqual(['no work'])
    const untilEnd = async (signal: AbortSignal): Promise<void> => {
      await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
    }
    app.cluster.singleton('outbox', untilEnd)
    app.cluster.workers('import', 2, untilEnd)
    await app.cluster.once('seed', 1, () => 'done')
    await until('all of them to run', async () => (await run('tasks')).filter((line) => line.includes('running')).length === 3)
    const lines = await run('tasks', 'list')
    expect(lines.map((line) => line.replace(/since .*Z {2}token \d+$/, 'since and token'))).toEqual([
      'import 0  spread  running  on n1  since and token',
      'import 1  spread  running  on n1  since and token',
      'outbox    leader  running  on n1  since and token'
    ])
    expect((await run('tasks', 'once'))[0]).toMatch(/^seed {2}version 1 {2}done {2}on n1 {2}attempt 1 {2}since \d{4}-/)
  })
})

describe('their command lines', () => {
  it.each([
    ['locks release --name a', '--token is required'],
    ['locks show --name a --prefix b', '--prefix does not go together with show'],
    ['locks acquire --name a', 'Unknown action "acquire": list, show or release'],
    ['sessions end', '--session is required'],
    ['sessions list --session 4', '--session does not go together with list'],
    ['sessions open', 'Unknown action "open": list or end'],
    ['tasks run', 'Unknown action "run": list or once'],
    ['schedules show', '--name is required'],
    ['schedules list --name a', '--name does not go together with list'],
    ['schedules run --name a --count 3', '--count does not go together with run'],
    ['schedules backfill --name a --from b', '--to is required'],
    ['schedules stop --name a', 'Unknown action "stop"']
  ])('%s: %s', (line, message) => {
    expect(() => parseCommandLine([...line.split(' '), '--node', 'http://127.0.0.1:9'], {})).toThrow(message)
  })
})
