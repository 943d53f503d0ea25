import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../../src', import.meta.url))
const sources = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true))

/** What a file imports from undici at run time, by its name there. */
function importsOf (source: ts.SourceFile): string[] {
  return source.statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) || statement.moduleSpecifier.getText(source) !== "'undici'") return []
    const { importClause } = statement
    if (importClause === undefined || importClause.isTypeOnly) return []
    const bindings = importClause.namedBindings
    if (bindings === undefined || !ts.isNamedImports(bindings)) return ['*']
    return bindings.elements.map(({ name, propertyName }) => (propertyName ?? name).text)
  })
}

/** All calls and constructions in a file, each with what is called. */
function callsIn (source: ts.SourceFile): Array<{ readonly callee: string, readonly text: string }> {
  const calls: Array<{ callee: string, text: string }> = []
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) || ts.isCallExpression(node)) {
      calls.push({ callee: node.expression.getText(source), text: node.getText(source) })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return calls
}

describe('the sources', () => {
  it('open connections with undici by its pools and clients alone, but for the command line', () => {
    expect(sources.filter((source) => importsOf(source).length > 0).map(({ fileName }) => fileName))
      .toEqual(['cli/commands/admin.ts'])
    expect([...new Set(sources.flatMap(importsOf))].sort()).toEqual(['Agent', 'fetch'])
    // The parts that the rest is given, and a method of theirs.
    const parts = sources.flatMap(({ text }) => [...text.matchAll(/\bundici\.(?!ts\b)(\w+)/g)].map(([, part]) => part))
    expect([...new Set(parts)].sort()).toEqual(['Client', 'Pool', 'buildConnector', 'request'])
  })

  it('never let one of them choose HTTP/2, whose raw fields have another form', () => {
    const opened = sources.flatMap((source) => callsIn(source)
      .filter(({ callee }) => callee === 'Agent' || /^undici\.(?:Client|Pool|buildConnector)$/.test(callee))
      .map(({ text }) => `${source.fileName}: ${text}`))
    expect(opened.length).toBeGreaterThanOrEqual(4)
    expect(opened.filter((text) => !/\ballowH2: false\b/.test(text))).toEqual([])
  })

  it('put no interceptor between a request and its connection: some repeat it, others fail on a 103', () => {
    const called = sources.flatMap((source) => callsIn(source).map(({ callee }) => `${source.fileName}: ${callee}`))
    expect(called.filter((callee) => /\.compose$|\binterceptors\b|\bsetGlobalDispatcher$/.test(callee))).toEqual([])
  })
})
