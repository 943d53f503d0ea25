import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parse } from 'yaml'
import { cluster } from '../../src/plugin/index.ts'
import { readinessChecks } from '../../src/plugin/v1/health.ts'
import { headingsOf } from './support/markdown.ts'
import { read, snippets } from './support/snippets.ts'

interface Probe {
  readonly httpGet: { readonly path: string }
}

const paths = snippets.filter(({ language }) => language === 'yaml')
  .flatMap(({ code }) => Object.values(parse(code) as Readonly<Record<string, Probe>>))
  .map(({ httpGet }) => httpGet.path)

describe('the probes of the README', () => {
  it('are answered 200 by a node that works, at the paths that are given there', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await app.register(cluster)
    await app.ready()
    expect(paths).toEqual(['/_cluster/v1/livez', '/_cluster/v1/readyz?exclude=leader'])
    for (const path of paths) await expect.poll(async () => (await app.inject(path)).statusCode).toBe(200)
  })

  it('explain every check of readyz, and no other', () => {
    const { body = '' } = headingsOf(read('README.md')).find(({ text }) => text === 'Probes') ?? {}
    const explained = [...body.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
    expect(explained).toEqual([...readinessChecks])
  })
})
