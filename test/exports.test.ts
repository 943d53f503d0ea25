import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What users import stands in these files, so nobody inside has to. */
const publicFiles = new Set([
  'src/raft/index.ts', 'src/raft/errors.ts', 'src/gateway/index.ts', 'src/plugin/index.ts', 'src/plugin/node-cron.ts', 'src/testing/index.ts'
])

interface Use {
  readonly file: string
  /** `*` for the whole module. */
  readonly name: string
}

const files = ['src', 'test', 'bench', 'examples', 'tools'].flatMap(typeScriptIn)
const parsed = files.map((file) => parse(file, readFileSync(join(root, file), 'utf8')))

describe('the exports of src', () => {
  it('have a user outside their file each', () => {
    const used = new Set(parsed.flatMap(usesIn).map(({ file, name }) => `${file} ${name}`))
    const exported = parsed.filter(({ fileName }) => fileName.startsWith('src/') && !publicFiles.has(fileName))
    const unused = exported.flatMap((file) => exportsOf(file)
      .filter((name) => !used.has(`${file.fileName} ${name}`) && !used.has(`${file.fileName} *`))
      .map((name) => `${file.fileName}: ${name}`))
    expect(unused).toEqual([])
  })

  it('are found in every way of declaring and using them', () => {
    const declaring = parse('src/a.ts', 'export const a = 1, b = 2\nexport function c () {}\nexport interface D {}\n' +
      'export class E {}\nexport type F = 1\nexport { g as h } from "./x.ts"')
    expect(exportsOf(declaring)).toEqual(['a', 'b', 'c', 'D', 'E', 'F', 'h'])
    const using = parse('src/b.ts', 'import { a as z } from "./a.ts"\nimport type { D } from "./a.ts"\n' +
      'export { E } from "./a.ts"\nimport * as all from "./c.ts"\nexport * from "./d.ts"\nlet x: import("./a.ts").F\n' +
      'await import("./e.ts")')
    expect(usesIn(using).map(({ file, name }) => `${file} ${name}`)).toEqual([
      'src/a.ts a', 'src/a.ts D', 'src/a.ts E', 'src/c.ts *', 'src/d.ts *', 'src/a.ts F', 'src/e.ts *'
    ])
  })
})

function typeScriptIn (folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `${folder}/${path}`)
}

function parse (file: string, text: string): ts.SourceFile {
  return ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
}

function exportsOf (file: ts.SourceFile): string[] {
  return file.statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) {
      const clause = statement.exportClause
      return clause !== undefined && ts.isNamedExports(clause) ? clause.elements.map(({ name }) => name.text) : []
    }
    if (!ts.canHaveModifiers(statement)) return []
    const modifiers = ts.getModifiers(statement) ?? []
    if (!modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return []
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.map(({ name }) => name.getText())
    }
    const { name } = statement as ts.DeclarationStatement
    return name === undefined ? [] : [name.getText()]
  })
}

function usesIn (file: ts.SourceFile): Use[] {
  const uses: Use[] = []
  const use = (specifier: ts.Node | undefined, names: readonly string[]): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier) || !specifier.text.startsWith('.')) return
    const target = relative(root, resolve(root, dirname(file.fileName), specifier.text))
    for (const name of names) uses.push({ file: target, name })
  }
  const namesIn = (bindings: ts.NamedImportBindings | ts.NamedExportBindings | undefined): string[] =>
    bindings !== undefined && 'elements' in bindings
      ? bindings.elements.map(({ name, propertyName }) => (propertyName ?? name).text)
      : ['*']
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const { namedBindings, name } = node.importClause ?? {}
      use(node.moduleSpecifier, [...name === undefined ? [] : ['default'], ...namesIn(namedBindings)])
    } else if (ts.isExportDeclaration(node)) {
      use(node.moduleSpecifier, namesIn(node.exportClause))
    } else if (ts.isImportTypeNode(node)) {
      const argument = ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined
      use(argument, [node.qualifier?.getText() ?? '*'])
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      use(node.arguments[0], ['*'])
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return uses
}
