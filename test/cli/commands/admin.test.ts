import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { runLeader } from '../../../src/cli/commands/admin.ts'
import { runMembers } from '../../../src/cli/commands/admin.ts'
import { parseCommandLine } from '../../../src/cli/flags/command-line.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { agreedLeader, clusterOfThree, wholeMembership } from '../../plugin/support/cluster-of-three.ts'

/** Runs a command line and returns what it printed. */
async function run (...argv: readonly string[]): Promise<string[]> {
  const lines: string[] = []
  const print = (line: string): void => { lines.push(line) }
  const command = parseCommandLine(argv, {})
  if (command.kind === 'members') await runMembers(command.settings, print)
  else if (command.kind === 'leader') await runLeader(command.settings, print)
  else throw new Error(`${command.kind} is no admin command`)
  return lines
}

describe('members and leader on the command line', () => {
  it('show and change a running cluster through any of its nodes', async () => {
    const nodes = await clusterOfThree(async (app, options) => { await app.register(cluster, options) })
    const leader = await agreedLeader(nodes)
    const follower = nodes.find((node) => node !== leader) ?? leader
    await wholeMembership(nodes)
    const at = ['--node', follower.url]
    const listed = await run('members', ...at)
    expect(listed.slice(0, 3)).toEqual(
      nodes.map((node) => `${node.id}  voter    ${node.url}${node === leader ? '  leader' : ''}`)
    )
    expect(listed[3]).toMatch(/^version \d+$/)
    expect(await run('members', 'add', ...at, '--id', 'n10', '--url', 'http://127.0.0.1:9')).toContain(
      'n10  learner  http://127.0.0.1:9'
    )
    await expect(run('members', 'promote', ...at, '--id', 'n10')).rejects.toThrow(
      'does not keep up with the log (RAFT_MEMBER_LAGGING)'
    )
    await expect(run('members', 'remove', ...at, '--id', 'n10', '--if-version', '0')).rejects.toThrow(
      '(RAFT_VERSION_MISMATCH)'
    )
    expect(await run('members', 'set-url', ...at, '--id', 'n10', '--url', 'http://127.0.0.1:19')).toContain(
      'n10  learner  http://127.0.0.1:19'
    )
    await expect(run('members', 'set-url', ...at, '--id', 'n10', '--url', leader.url)).rejects.toThrow(
      '(RAFT_MEMBER_EXISTS)'
    )
    expect(await run('members', 'remove', ...at, '--id', 'n10')).toHaveLength(4)
    expect(await run('members', 'demote', ...at, '--id', follower.id)).toContain(
      `${follower.id}  learner  ${follower.url}`
    )
    await expect
      .poll(async () => await run('members', 'promote', ...at, '--id', follower.id).catch(() => null))
      .toContain(`${follower.id}  voter    ${follower.url}`)

    expect(await run('leader', ...at)).toEqual([
      `${leader.id} at ${leader.url} leads in term ${leader.app.cluster.term}`
    ])
    expect((await run('leader', 'transfer', ...at, '--to', follower.id))[0]).toMatch(
      new RegExp(`^${follower.id} at ${follower.url} leads in term \\d+$`)
    )
    expect((await agreedLeader(nodes)).id).toBe(follower.id)
    expect((await run('leader', 'step-down', ...at))[0]).toMatch(
      new RegExp(`^${follower.id} led in term \\d+ and has stepped down$`)
    )
  })

  it('report a node that does not answer, and a server that is not a node', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    await expect(run('members', '--node', url)).rejects.toThrow(
      `${url} answered 404, and not as a node of a cluster does`
    )
    await app.close()
    await expect(run('leader', '--node', url)).rejects.toThrow(`${url} does not answer: connect ECONNREFUSED`)
  })
})
