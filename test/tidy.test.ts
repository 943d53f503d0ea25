import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

// The files themselves rather than git's list, so that an exported tree without history is checked too.
const ignored = new Set([...read('.gitignore').split('\n').map((line) => line.replace(/\/$/, '')), '.git'])
const tracked = filesIn('')
const typeScript = tracked.filter((path) => path.endsWith('.ts'))
const sources = typeScript.filter((path) => path.startsWith('src/'))

describe('the source', () => {
  it('declares no enum, no namespace and no any', () => {
    expect(
      nodesIn(typeScript, (node) =>
        ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node)
          ? !isAugmentation(node)
          : node.kind === ts.SyntaxKind.AnyKeyword
      )
    ).toEqual([])
  })

  it('neither writes to the console nor exits outside of the command line, unless asked to', () => {
    const banned = /^(console\.\w+|process\.(exit|abort|kill))$/
    // What `onLeaseLost: 'exit'` asks for.
    const asked = 'src/plugin/primitives/lease-watchdog-body.ts'
    const outside = sources.filter((path) => !path.startsWith('src/cli/') && path !== asked)
    expect(nodesIn(outside, (node) => ts.isPropertyAccessExpression(node) && banned.test(node.getText()))).toEqual([])
  })

  it('exits from one place', () => {
    const exits = nodesIn(sources, (node) => ts.isPropertyAccessExpression(node) && node.getText() === 'process.exit')
    expect(exits).toHaveLength(1)
    expect(exits[0]).toContain('src/cli/main.ts')
  })

  it('leaves nothing to be done later', () => {
    expect(linesIn(typeScript, /\b(TODO|FIXME|XXX|HACK)\b/)).toEqual(linesIn(['test/tidy.test.ts'], /\bTODO\b/))
  })

  it('skips and singles out no test', () => {
    expect(linesIn(typeScript, /\b(it|describe|test)\.(only|skip|todo)\b/)).toEqual([])
  })
})

describe('the code that tests share', () => {
  // The simulator, the fuzzer and the checker of histories are libraries with tests of their own; tools are started by
  // hand.
  const elsewhere = /^test\/(sim|fuzz|linearizability|types)\/|^test\/(cluster|raft\/storage)\/tools\//
  const shared = typeScript.filter((path) => path.startsWith('test/') && !path.endsWith('.test.ts'))

  it('stands in folders named support', () => {
    expect(shared.filter((path) => !elsewhere.test(path) && !/\/support\/[\w-]+\.ts$/.test(path))).toEqual([])
  })

  it('has one file of a name', () => {
    const names = shared.filter((path) => path.includes('/support/')).map((path) => path.replace(/.*\//, ''))
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })
})

describe('all files', () => {
  const texts = tracked.filter((path) => !path.startsWith('test/tidy.test'))

  it('name no package registry', () => {
    expect(linesIn(texts, /registry\.(npmjs|yarnpkg)|npm\.pkg\.github|"resolved":/)).toEqual([])
  })

  it('name no absolute path of one machine', () => {
    expect(linesIn(texts, /(?<![\w.$}-])\/(home|Users|root|work|tmp)\/[\w.-]+/)).toEqual([])
  })

  it('hold no marks of an unfinished merge', () => {
    expect(linesIn(texts, /^(<{7} |={7}$|>{7} )/)).toEqual([])
  })

  it('end in a newline and hold no carriage returns', () => {
    expect(
      texts.filter((path) => {
        const text = read(path)
        return text !== '' && (!text.endsWith('\n') || text.includes('\r'))
      })
    ).toEqual([])
  })
})

function read (path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

function filesIn (directory: string): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = directory === '' ? entry.name : `${directory}/${entry.name}`
    if (ignored.has(entry.name) || /\.(log|tsbuildinfo)$/.test(entry.name)) return []
    return entry.isDirectory() ? filesIn(path) : entry.isFile() ? [path] : []
  })
}

function nodesIn (paths: readonly string[], matches: (node: ts.Node) => boolean): string[] {
  const found: string[] = []
  for (const path of paths) {
    const parsed = ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true)
    const visit = (node: ts.Node): void => {
      if (matches(node)) {
        found.push(
          `${path}:${parsed.getLineAndCharacterOfPosition(node.getStart()).line + 1} ${node.getText().slice(0, 80)}`
        )
      }
      ts.forEachChild(node, visit)
    }
    visit(parsed)
  }
  return found
}

function isAugmentation (node: ts.Node): boolean {
  return ts.isModuleDeclaration(node) && ts.isStringLiteral(node.name)
}

function linesIn (paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    read(path)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1} ${line.trim().slice(0, 120)}`] : []))
  )
}
