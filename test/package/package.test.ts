import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installInConsumer, packedFiles, root, runNode, typeCheck } from './support/consumer.ts'

let consumer: string

beforeAll(async () => { consumer = await installInConsumer() })
afterAll(async () => { await rm(consumer, { recursive: true, force: true }) })

const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
  version: string
  bin: Record<string, string>
  exports: Record<string, string | Record<string, string>>
  repository: { url: string }
  publishConfig: { provenance: boolean }
  scripts: Record<string, string>
  sideEffects: string[]
}

interface Lockfile {
  packages: Record<string, { dev?: boolean, hasInstallScript?: boolean, integrity?: string }>
}

describe('the package', () => {
  it('holds the build and what a reader needs, and nothing else', async () => {
    const paths = (await packedFiles()).map(({ path }) => path)
    expect(paths.filter((path) => !path.startsWith('dist/')).sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'package.json'
    ])
    expect(
      paths.filter(
        (path) =>
          path.startsWith('dist/') &&
          !/^dist\/(src\/(cli|gateway|plugin|raft|testing)|examples\/orders)\/.+\.(js|d\.ts|js\.map|d\.ts\.map)$/.test(path)
      )
    ).toEqual([])
    // The app of `fastify-raft node` and `demo`.
    expect(paths).toContain('dist/examples/orders/orders-app.js')
    for (const target of [
      ...Object.values(manifest.exports).flatMap((entry) =>
        typeof entry === 'string' ? [entry] : Object.values(entry)
      ),
      ...Object.values(manifest.bin)
    ]) {
      expect(paths).toContain(target.replace('./', ''))
    }
  })

  it('runs nothing when it is installed, and brings nothing that does', async () => {
    // npm's own list of what runs at an install, `prepare` for one from a repository.
    const atInstall = ['preinstall', 'install', 'postinstall', 'preprepare', 'prepare', 'postprepare']
    expect(Object.keys(manifest.scripts).filter((name) => atInstall.includes(name))).toEqual([])
    const { packages } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as Lockfile
    const installed = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true)
    expect(installed.length).toBeGreaterThan(5)
    expect(installed.filter(([, { hasInstallScript }]) => hasInstallScript === true)).toEqual([])
    expect(installed.filter(([, { integrity }]) => integrity === undefined)).toEqual([])
  })

  it('can be published with a statement of where it was built', async () => {
    expect(manifest.publishConfig.provenance).toBe(true)
    expect(manifest.repository.url).toMatch(/^git\+https:\/\/.+\.git$/)
  })

  it('names the files that do something when they are loaded', async () => {
    const paths = (await packedFiles()).map(({ path }) => `./${path}`)
    expect(manifest.sideEffects.filter((path) => !paths.includes(path))).toEqual([])
  })

  it('is complete: every entry point loads from an installed copy', async () => {
    const script = `
      import cluster, { cluster as named, optionsSchema } from 'fastify-raft'
      import { createGateway } from 'fastify-raft/gateway'
      import { openRaftEngine } from 'fastify-raft/raft'
      import { NotLeaderError } from 'fastify-raft/errors'
      import manifest from 'fastify-raft/package.json' with { type: 'json' }
      import fastify from 'fastify'
      const app = fastify()
      await app.register(cluster)
      await app.ready()
      const entry = await app.cluster.map('m').set('k', 1)
      const local = app.cluster.isLeader
      await app.close()
      console.log(JSON.stringify([cluster === named, typeof optionsSchema, typeof createGateway, typeof openRaftEngine, new NotLeaderError('x').code, manifest.version, entry.value, local]))`
    const output = await runNode(consumer, ['--no-warnings', '--input-type=module', '--eval', script])
    expect(JSON.parse(output)).toEqual([
      true,
      'object',
      'function',
      'function',
      'RAFT_NOT_LEADER',
      manifest.version,
      1,
      true
    ])
  })

  it('loads from CommonJS too', async () => {
    const output = await runNode(consumer, [
      '--no-warnings',
      '--input-type=commonjs',
      '--eval',
      "console.log(typeof require('fastify-raft').default, typeof require('fastify-raft/gateway').createGateway)"
    ])
    expect(output).toBe('function function\n')
  })

  it('shows nothing but its entry points', async () => {
    const output = await runNode(consumer, [
      '--input-type=module',
      '--eval',
      "import('fastify-raft/dist/src/raft/core/index.js').catch((error) => console.log(error.code))"
    ])
    expect(output.trim()).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED')
  })

  it('has a command line that runs from an installed copy', async () => {
    const bin = join(consumer, 'node_modules', 'fastify-raft', manifest.bin['fastify-raft'] ?? '')
    expect(await runNode(consumer, [bin, '--version'])).toBe(`${manifest.version}\n`)
    expect((await readFile(bin, 'utf8')).split('\n')[0]).toBe('#!/usr/bin/env node')
  })

  it('has types that a strict project compiles against', async () => {
    await writeFile(join(consumer, 'package.json'), JSON.stringify({ type: 'module', private: true }))
    await writeFile(
      join(consumer, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          target: 'ES2023',
          lib: ['ES2023', 'ESNext.Disposable'],
          module: 'NodeNext',
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          skipLibCheck: true,
          types: ['node']
        },
        files: ['app.ts']
      })
    )
    await writeFile(join(consumer, 'app.ts'), consumerSource)
    expect(await typeCheck(consumer)).toBe('')
    await writeFile(join(consumer, 'app.ts'), consumerSource.replace('forward: true', "forward: 'yes'"))
    expect(await typeCheck(consumer)).toContain(
      "Type 'string' is not assignable to type 'boolean | { timeoutMs?: number; }'"
    )
  })
})

const consumerSource = `
import Fastify from 'fastify'
import cluster, { type ClusterMap, type ClusterOptions, type LeadershipGrant } from 'fastify-raft'
import { createGateway, type Gateway } from 'fastify-raft/gateway'
import { NotLeaderError, RevisionMismatchError } from 'fastify-raft/errors'
import type { Engine, StateMachine } from 'fastify-raft/raft'

const options: ClusterOptions = { id: 'n1', members: [{ id: 'n1', url: 'http://127.0.0.1:3000' }], heartbeatMs: 50 }
const app = Fastify()
await app.register(cluster, options)
app.post('/orders', { forward: true }, async () => ({ by: app.cluster.nodeId }))
app.post('/reindex', { leaderOnly: true }, async () => ({}))
const map: ClusterMap<{ count: number }> = app.cluster.map<{ count: number }>('m')
const count: number | undefined = (await map.get('k'))?.value.count
app.cluster.singleton('task', async (signal: AbortSignal, grant: LeadershipGrant) => { grant.check(); await map.set('k', { count: (count ?? 0) + 1 }, { fence: grant.token, signal }) })
app.cluster.on('leadershipChanged', ({ isLeader, token }) => { app.log.info({ isLeader, token }) })
const result = await app.cluster.executeIfLeader(async () => 7)
const seven: number | null = result.status === 'completed' ? result.value : null
const gateway: Gateway = createGateway({ nodes: ['http://127.0.0.1:3000'] })
export type { Engine, StateMachine }
export { gateway, NotLeaderError, RevisionMismatchError, seven }
`
