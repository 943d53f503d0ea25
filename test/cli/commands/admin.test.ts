import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { runLeader } from '../../../src/cli/commands/admin.ts'
import { runMembers } from '../../../src/cli/commands/admin.ts'
import { pluginOptions } from '../../../src/cli/commands/node.ts'
import { runToken } from '../../../src/cli/commands/token.ts'
import { parseCommandLine } from '../../../src/cli/flags/command-line.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { makeToken } from '../../../src/raft/internal.ts'
import { agreedLeader, clusterOfThree, wholeMembership } from '../../plugin/support/cluster-of-three.ts'
import { createAuthority } from '../../support/certificates.ts'

/** Runs a command line and returns what it printed. */
async function run (...argv: readonly string[]): Promise<string[]> {
  return await runWith({}, ...argv)
}

async function runWith (environment: Record<string, string>, ...argv: readonly string[]): Promise<string[]> {
  const lines: string[] = []
  const print = (line: string): void => { lines.push(line) }
  const command = parseCommandLine(argv, environment)
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

describe('members and leader of a cluster with tokens', () => {
  it('show the token of a file or the environment, and say what is missing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tokens-'))
    onTestFinished(() => { rmSync(directory, { recursive: true }) })
    const printed: string[] = []
    const tokenFile = join(directory, 'admin.token')
    const make = async (): Promise<void> => { await runToken({ file: tokenFile }, (line) => { printed.push(line) }) }
    await make()
    // What exists is left as it is.
    await make()
    const [digest = '', again] = printed
    expect([again, statSync(tokenFile).mode & 0o777]).toEqual([digest, 0o600])
    const reader = makeToken()
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await app.register(cluster, {
      tokens: [{ sha256: digest, role: 'admin', name: 'ops' }, { token: reader, role: 'read', name: 'reader' }]
    })
    const node = await app.listen({ port: 0, host: '127.0.0.1' })
    const members = ['members', '--node', node] as const
    const stepDown = ['leader', 'step-down', '--node', node] as const
    expect((await run(...members, '--token-file', tokenFile))[0]).toMatch(/^n1 {2}voter/)
    expect((await runWith({ CLUSTER_TOKEN: ` ${reader}\n` }, ...members))[0]).toMatch(/^n1 {2}voter/)
    expect(await run(...stepDown, '--token-file', tokenFile)).toHaveLength(1)
    const wayOut = /\(RAFT_UNAUTHENTICATED\)\. Show a token of this cluster with --token-file or CLUSTER_TOKEN$/
    await expect(run(...members)).rejects.toThrow(wayOut)
    await expect(runWith({ CLUSTER_TOKEN: makeToken() }, ...members)).rejects.toThrow(wayOut)
    await expect(runWith({ CLUSTER_TOKEN: reader }, ...stepDown)).rejects.toThrow(
      'The role of the token is read, and this call needs admin (RAFT_UNAUTHORIZED)'
    )
    expect(await run(...members, '--admin-header', `authorization: Bearer ${reader}`)).toHaveLength(2)
    await expect(run(...members, '--admin-header', 'host: x')).rejects.toThrow('--admin-header: adminHeaders["host"]')
    const broken = `${reader} ${reader}`
    const refused = await runWith({ CLUSTER_TOKEN: broken }, ...members).catch((error: unknown) => String(error))
    expect(refused).toContain('CLUSTER_TOKEN must be letters')
    expect(refused).not.toContain(reader)
    chmodSync(tokenFile, 0o644)
    await expect(run(...members, '--token-file', tokenFile)).rejects.toThrow('can be read by everybody')
    await expect(run(...members, '--token-file', join(directory, 'none'))).rejects.toThrow('none cannot be read (ENOENT)')
    await expect(runToken({ file: join(directory, 'no', 'such') }, () => {})).rejects.toThrow('cannot be written (ENOENT)')
  })

  it('are given to a node in a file', () => {
    const command = parseCommandLine(['node', '--id', 'n1', '--tokens-file', './tokens.json'], {})
    if (command.kind !== 'node') throw new Error('no node')
    expect(pluginOptions(command.settings)).toMatchObject({ tokensFile: './tokens.json' })
  })

  it('are made without a file as well', async () => {
    const printed: string[] = []
    await runToken({ file: null }, (line) => { printed.push(line) })
    expect(printed[0]).toMatch(/^[\w-]{43}$/)
  })
})

describe('the commands over https', () => {
  it('say how to name an authority that is not known', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'admin-'))
    onTestFinished(() => { rmSync(directory, { recursive: true }) })
    const authority = await createAuthority()
    const caFile = join(directory, 'ca.pem')
    writeFileSync(caFile, authority.ca)
    const app = Fastify({ https: await authority.issue({ ips: ['127.0.0.1'] }) })
    onTestFinished(async () => { await app.close() })
    await app.register(cluster)
    const node = await app.listen({ port: 0, host: '127.0.0.1' })
    await expect(run('members', '--node', node)).rejects.toThrow(
      /does not answer: .*\. Name the authority of its certificate with --tls-ca-file$/
    )
    expect(await run('members', '--node', node, '--tls-ca-file', caFile)).toHaveLength(2)
  })
})
