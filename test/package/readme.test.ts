import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LocalCluster } from '../../src/cli/local/local-cluster.ts'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'
import { send } from '../cluster/support/requests.ts'
import { startCluster } from '../cluster/support/start-cluster.ts'
import { splitShell } from '../docs/support/shell.ts'
import { snippets } from '../docs/support/snippets.ts'
import { installInConsumer, runNode } from './support/consumer.ts'

let consumer: string

beforeAll(async () => { consumer = await installInConsumer() })
afterAll(async () => { await rm(consumer, { recursive: true, force: true }) })

function inReadme (language: string): string[] {
  return snippets
    .filter((snippet) => snippet.language === language && snippet.place.startsWith('README.md'))
    .map(({ code }) => code)
}

/** Writes a snippet as a module of the consumer, with addresses of its own. Returns its file name. */
async function writeModule (
  name: string,
  code: string,
  replacements: Readonly<Record<string, string>>
): Promise<string> {
  const replaced = Object.entries(replacements).reduce((text, [from, to]) => {
    expect(text).toContain(from)
    return text.replaceAll(from, to)
  }, code)
  const { outputText } = ts.transpileModule(replaced, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext }
  })
  await writeFile(join(consumer, name), outputText)
  return name
}

describe('the README', () => {
  const [cluster = '', leader = '', machine = ''] = inReadme('ts')
  const gateway = inReadme('ts').find((code) => code.includes('createGateway')) ?? ''

  it('has an example of ten lines that really is a cluster, run three times', async () => {
    expect(
      cluster
        .split('\n')
        .slice(cluster.split('\n').indexOf(''))
        .filter((line) => line !== '').length
    ).toBeLessThanOrEqual(12)
    const ports = await freePorts(3)
    const ids = ['n1', 'n2', 'n3']
    const copies: ChildProcess[] = []
    try {
      for (const [index, id] of ids.entries()) {
        const file = await writeModule(`${id}.mjs`, cluster, {
          // eslint-disable-next-line no-template-curly-in-string -- the README's own template
          '`http://127.0.0.1:400${n}`': `'http://127.0.0.1:' + [${ports.join()}][n - 1]`,
          "id: 'n1', //": `id: '${id}', //`,
          './data/n1': `./data/${id}`,
          'port: 4001': `port: ${ports[index]}`
        })
        copies.push(spawn(process.execPath, [file], { cwd: consumer, stdio: 'ignore' }))
      }
      const url = (index: number): string => `http://127.0.0.1:${ports[index]}`
      await pollUntil('an order to be accepted', 20_000, async () => {
        const answer = await send('POST', `${url(1)}/orders/o1`, { item: 'tea' }).catch(() => null)
        return answer?.status === 200 ? answer : null
      })
      for (const index of ids.keys()) {
        // Two are enough for an order: the third may still be starting.
        const answer = await pollUntil('a copy to answer', 20_000, () =>
          send('GET', `${url(index)}/orders`).catch(() => null)
        )
        expect(JSON.parse(answer.text)).toMatchObject({ entries: [{ key: 'o1', value: { item: 'tea' } }], next: null })
      }
    } finally {
      await Promise.all(copies.map(async (copy) => {
        const exit = once(copy, 'exit')
        copy.kill('SIGKILL')
        await exit
      }))
    }
  })

  it('has an example for the leader that runs to its end', async () => {
    await runNode(consumer, [await writeModule('leader.mjs', leader, {})])
  })

  it('has an example of a state machine that runs to its end', async () => {
    await runNode(consumer, [await writeModule('machine.mjs', machine, {})])
  })

  it('has an example with tokens that runs, and refuses who shows none', async () => {
    const code = inReadme('ts').find((snippet) => snippet.includes('tokens: [')) ?? ''
    const look = `const { statusCode } = await app.inject('/_cluster/v1/status')
      if (statusCode !== 401) throw new Error(String(statusCode))
      await app.close()`
    await runNode(consumer, [await writeModule('tokens.mjs', code, { 'await app.listen({ port: 4001 })': look })])
  })

  it('has an example of a gateway that runs to its end', async () => {
    const [port = 0] = await freePorts(1)
    await runNode(consumer, [await writeModule('gateway.mjs', gateway, { 'port: 8080': `port: ${port}` })])
  })
})

describe('the requests in the README', () => {
  let running: LocalCluster

  beforeAll(async () => { running = await startCluster() })
  afterAll(async () => { await running.stop() })

  it('all succeed, one after the other, on a cluster with its addresses', async () => {
    const commands = inReadme('sh').flatMap((code) => code.split('\n')).filter((line) => line.startsWith('curl '))
    expect(commands.length).toBeGreaterThanOrEqual(5)
    for (const command of commands) {
      const { method, url, body } = asRequest(splitShell(command).slice(1))
      const answer = await send(method, onCluster(url), body === null ? undefined : JSON.parse(body))
      expect(answer.status, `${command}: ${answer.text}`).toBeLessThan(300)
    }
  })

  function onCluster (url: string): string {
    return url
      .replace(/^http:\/\/127\.0\.0\.1:400(\d)/, (_match, digit: string) => running.node(`n${digit}`).url)
      .replace('http://127.0.0.1:8080', running.gatewayUrl ?? '')
  }
})

describe('the licence', () => {
  it('is the one that package.json names', async () => {
    expect(await readFile(new URL('../../LICENSE', import.meta.url), 'utf8')).toMatch(/^MIT License/)
  })
})

function asRequest (args: readonly string[]): {
  readonly method: string
  readonly url: string
  readonly body: string | null
} {
  let method = 'GET'
  let url = ''
  let body: string | null = null
  for (let index = 0; index < args.length; index++) {
    switch (args[index]) {
      case '-i':
        break
      case '-X':
        method = args[++index] ?? ''
        break
      case '-H':
        expect(args[++index]).toBe('content-type: application/json')
        break
      case '-d':
        body = args[++index] ?? ''
        break
      default:
        url = args[index] ?? ''
    }
  }
  return { method, url, body }
}
