import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const folder = join(import.meta.dirname, '../../../src/raft/core')
const configPath = join(folder, 'tsconfig.json')
const config = ts.parseJsonConfigFileContent(
  ts.readConfigFile(configPath, (path) => ts.sys.readFile(path)).config,
  ts.sys,
  folder
)

/** What the compiler says to a file of the core with this content. */
function faultsOf (code: string): readonly string[] {
  const probe = join(folder, 'probe.ts')
  const host = ts.createCompilerHost(config.options)
  const read = host.getSourceFile.bind(host)
  host.getSourceFile = (path, version, ...rest) =>
    path === probe ? ts.createSourceFile(path, code, version) : read(path, version, ...rest)
  const program = ts.createProgram([probe], config.options, host)
  return ts
    .getPreEmitDiagnostics(program, program.getSourceFile(probe))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}

describe('the core', () => {
  it('compiles plain code', () => {
    expect(faultsOf('export const sum = (left: number, right: number): number => left + right')).toEqual([])
  })

  it.each([
    ['a timer', 'setTimeout(() => {}, 1)'],
    ['an immediate', 'setImmediate(() => {})'],
    ['a microtask', 'queueMicrotask(() => {})'],
    ['a clock', 'performance.now()'],
    ['the process', 'process.hrtime()'],
    ['a buffer', 'Buffer.alloc(1)'],
    ['the network', 'fetch("http://127.0.0.1")'],
    ['the console', 'console.log(1)'],
    ['a built-in module', 'import "node:fs"']
  ])('does not compile with %s', (_what, code) => {
    expect(faultsOf(`${code}\nexport {}`)).not.toEqual([])
  })

  it('uses no wall clock, no randomness and no promises, although the language offers them', () => {
    const found = readdirSync(folder).filter((name) => name.endsWith('.ts')).flatMap((name) => {
      const code = readFileSync(join(folder, name), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
      return /\bDate\b|\bMath\.random\b|\bPromise\b|\basync\b|\bawait\b/.test(code) ? [name] : []
    })
    expect(found).toEqual([])
  })
})
