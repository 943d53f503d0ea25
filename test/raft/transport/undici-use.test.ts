import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../../src', import.meta.url))
const sources = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true))
const usesUndici = sources.filter((source) => importsOf(source).length > 0)

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
    const isOfCommandLine = ({ fileName }: ts.SourceFile): boolean => fileName.startsWith('cli/')
    const importedBy = (some: readonly ts.SourceFile[]): string[] => [...new Set(some.flatMap(importsOf))].sort()
    expect(importedBy(usesUndici.filter((source) => !isOfCommandLine(source)))).toEqual(['Client', 'Pool', 'buildConnector'])
    expect(importedBy(usesUndici.filter(isOfCommandLine))).toEqual(['Agent', 'fetch'])
  })

  it('never let one of them choose HTTP/2, whose raw fields have another form', () => {
    const opened = usesUndici.flatMap((source) => callsIn(source)
      .filter(({ callee }) => ['Agent', 'Client', 'Pool', 'buildConnector'].includes(callee))
      .map(({ text }) => `${source.fileName}: ${text}`))
    expect(opened.length).toBeGreaterThanOrEqual(4)
    expect(opened.filter((text) => !/\ballowH2: false\b/.test(text))).toEqual([])
  })

  it('put no interceptor between a request and its connection: some repeat it, others fail on a 103', () => {
    const called = sources.flatMap((source) => callsIn(source).map(({ callee }) => `${source.fileName}: ${callee}`))
    expect(called.filter((callee) => /\.compose$|\binterceptors\b|\bsetGlobalDispatcher$/.test(callee))).toEqual([])
  })
})
