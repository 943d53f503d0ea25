import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runSeed } from './run-seed.ts'
import { combineHashes } from './tools/batches.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

function sources (folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
    .map((path) => join(folder, path))
}

describe('npm run sim', () => {
  let built = ''

  beforeAll(() => {
    built = mkdtempSync(join(tmpdir(), 'raft-sim-'))
    writeFileSync(join(built, 'package.json'), '{"type":"module"}')
    symlinkSync(join(root, 'node_modules'), join(built, 'node_modules'))
    for (const path of [
      'src/raft',
      'src/gateway',
      'src/plugin',
      'test/sim',
      'test/linearizability',
      'test/support',
      'test/raft/storage'
    ].flatMap(sources)) {
      const { outputText } = ts.transpileModule(readFileSync(join(root, path), 'utf8'), {
        compilerOptions: {
          module: ts.ModuleKind.ESNext,
          target: ts.ScriptTarget.ES2023,
          verbatimModuleSyntax: true,
          rewriteRelativeImportExtensions: true
        }
      })
      const target = join(built, path.replace(/\.ts$/, '.js'))
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, outputText)
    }
  })

  afterAll(() => { rmSync(built, { recursive: true }) })

  const sim = async (...options: string[]): Promise<Record<string, unknown>> => {
    const { stdout } = await run(process.execPath, [join(built, 'test/sim/tools/sim.js'), ...options])
    return JSON.parse(stdout) as Record<string, unknown>
  }

  it('gives the same trace hash in another process', { timeout: 120_000 }, async () => {
    const hashes = await Promise.all([21, 22].map(async (seed) => [seed, (await runSeed(seed)).traceHash] as const))
    const result = await sim('--seeds', '2', '--seed', '21')
    expect(result).toMatchObject({ seeds: 2, firstSeed: 21, failures: 0, failedSeeds: [], hash: combineHashes(hashes) })
    for (const count of ['events', 'elections', 'seedsPerMinute', 'simulatedSeconds']) {
      expect(result[count]).toBeGreaterThan(0)
    }
  })

  it('writes the protocol trace of a seed to a file', { timeout: 60_000 }, async () => {
    const file = join(built, 'trace.ndjson')
    const result = await sim('--trace', file, '--crashes')
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    expect(lines).toHaveLength(result.lines as number)
    expect(lines.length).toBeGreaterThan(1_000)
  })

  it('refuses a malformed number of seeds', async () => {
    await expect(sim('--seeds', 'many')).rejects.toThrow('--seeds must be a whole number above 0')
  })
})
