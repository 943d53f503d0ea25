import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, fetch } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Child } from '../../src/cli/local/child.ts'
import { freePorts } from '../../src/cli/local/ports.ts'
import type { TestAuthority } from '../support/certificates.ts'
import { createAuthority } from '../support/certificates.ts'
import { until } from '../support/until.ts'
import { runCli } from './support/run-cli.ts'
import { program } from './support/start-cluster.ts'

const ids = ['n1', 'n2', 'n3', 'gw'] as const
const clients = 24
/** A busy machine is no reason for an election here: one would hide whether a renewal was. */
const nodeFlags = [
  '--tls-gateways', 'gw', '--heartbeat-ms', '200', '--election-timeout-min-ms', '3000', '--election-timeout-max-ms', '6000'
]
/** Each client sends one request in this time at most: 600 requests a second in all, if the machine can. */
const paceMs = 40

interface Leader {
  readonly id: string
  readonly term: number
}

/** The processes of a cluster whose members and gateway have certificates in files. */
class CertifiedProcesses {
  readonly directory = mkdtempSync(join(tmpdir(), 'certificates-'))
  readonly children: Child[] = []
  readonly nodeUrls: string[] = []
  gatewayUrl = ''

  path (id: string, part: string): string {
    return join(this.directory, `${id}-${part}.pem`)
  }

  /** Replaces files as certificate managers do: never with a part of the new content in place. */
  write (id: string, files: Readonly<Record<string, string>>): void {
    for (const [part, text] of Object.entries(files)) {
      const path = this.path(id, part)
      writeFileSync(`${path}.new`, text, { mode: 0o600 })
      renameSync(`${path}.new`, path)
    }
  }

  async issue (authority: TestAuthority): Promise<void> {
    for (const id of ids) {
      const { cert, key } = await authority.issue({ dns: [id, 'localhost'], ips: ['127.0.0.1'] })
      this.write(id, { cert, key })
    }
  }

  async start (): Promise<void> {
    const ports = await freePorts(4)
    const members = ids.slice(0, 3).map((id, index) => `${id}=https://127.0.0.1:${ports[index]}`)
    this.nodeUrls.push(...members.map((member) => member.slice(3)))
    this.gatewayUrl = `http://127.0.0.1:${ports[3]}`
    for (const [index, id] of ids.entries()) {
      const tls = ['ca', 'cert', 'key'].flatMap((part) => [`--tls-${part}-file`, this.path(id, part)])
      const listen = ['--listen', `127.0.0.1:${ports[index]}`]
      const args = id === 'gw'
        ? ['gateway', '--nodes', this.nodeUrls.join()]
        : ['node', '--id', id, '--members', members.join(), '--data-dir', join(this.directory, id), ...nodeFlags]
      const logFile = join(this.directory, `${id}.log`)
      const child = new Child({ name: id, args: [program, ...args, ...listen, ...tls], logFile })
      child.start()
      this.children.push(child)
    }
  }

  /** Waits until each process has read its files again so many times. */
  async renewals (count: number): Promise<void> {
    await until('all have read their files again', () => ids.every((id) =>
      readFileSync(join(this.directory, `${id}.log`), 'utf8').split('the certificate files were read again').length > count),
    20_000)
  }

  async stop (): Promise<void> {
    await Promise.all(this.children.map(async (child) => { await child.stop(8_000) }))
    rmSync(this.directory, { recursive: true })
  }
}

describe('a cluster whose members have certificates in files', () => {
  it('fails no request and keeps its leader while certificates and authorities are replaced', async () => {
    const [before, after] = [await createAuthority('before'), await createAuthority('after')]
    const processes = new CertifiedProcesses()
    const dispatcher = new Agent({ connect: { ca: [before.ca, after.ca] } })
    onTestFinished(async () => {
      await dispatcher.destroy()
      await processes.stop()
    })
    for (const id of ids) processes.write(id, { ca: before.ca })
    await processes.issue(before)
    await processes.start()
    const leaderAt = async (url: string): Promise<Leader | null> => {
      const answer = await fetch(`${url}/_cluster/v1/leader`, { dispatcher })
      return answer.ok ? await answer.json() as Leader : null
    }
    const agreed = async (): Promise<Leader | null> => {
      const [first, ...others] = await Promise.all(processes.nodeUrls.map(leaderAt))
      return first != null && others.every((leader) => leader?.term === first.term) ? first : null
    }
    const { id, term } = await until('a leader', agreed, 30_000)
    await until('the gateway serves', async () => (await fetch(`${processes.gatewayUrl}/orders`)).ok, 20_000)

    const answers: string[] = []
    const beganMs = performance.now()
    const over = new AbortController()
    const urls = [...processes.nodeUrls.filter((_url, index) => ids[index] !== id), processes.gatewayUrl]
    const load = Promise.all(Array.from({ length: clients }, async (_, client) => {
      for (let count = 0; !over.signal.aborted; count++) {
        const startedMs = performance.now()
        const url = urls[(client + count) % urls.length] ?? ''
        const body = JSON.stringify({ id: `o${client}-${count}`, item: 'tea' })
        const headers = { 'content-type': 'application/json' }
        answers.push(await fetch(`${url}/orders`, { method: 'POST', headers, body, dispatcher }).then(
          async (answer) => {
            const text = await answer.text()
            return answer.status === 201 ? 'created' : `${answer.status} ${text}`
          },
          (error: unknown) => String(error instanceof Error ? error.cause ?? error : error)
        ))
        await delay(Math.max(0, paceMs - (performance.now() - startedMs)))
      }
    }))

    await processes.issue(before)
    await processes.renewals(1)
    for (const name of ids) processes.write(name, { ca: before.ca + after.ca })
    await processes.renewals(2)
    await processes.issue(after)
    await processes.renewals(3)
    for (const name of ids) processes.write(name, { ca: after.ca })
    await processes.renewals(4)
    await delay(1_000)
    over.abort()
    await load
    const seconds = (performance.now() - beganMs) / 1_000
    process.stderr.write(`${JSON.stringify({ renewals: 4, seconds, perSecond: Math.round(answers.length / seconds) })}\n`)

    expect(answers.filter((answer) => answer !== 'created')).toEqual([])
    expect(answers.length).toBeGreaterThan(50)
    expect(await agreed()).toMatchObject({ id, term })
    const [node = ''] = processes.nodeUrls
    const tls = ['ca', 'cert', 'key'].flatMap((part) => [`--tls-${part}-file`, processes.path('n1', part)])
    const listed = await runCli(['members', '--node', node, ...tls])
    expect(listed).toMatchObject({ code: 0, output: expect.stringContaining(`n1  voter    ${node}`) as string })
  }, 120_000)
})
