import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { cluster } from '../../src/plugin/index.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const entry = join(root, 'src/plugin/index.ts')

describe('the public face of the plugin', () => {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as { config: object }
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram([entry], { ...options, noEmit: true })
  const checker = program.getTypeChecker()
  const exported = exportsOf(entry)

  it('explains every member of its interfaces', () => {
    const members = exported.flatMap(({ name, symbol }) =>
      (symbol.declarations ?? [])
        .filter((declaration) => ts.isInterfaceDeclaration(declaration) && isOfPlugin(declaration))
        .flatMap((declaration) => (declaration as ts.InterfaceDeclaration).members)
        .map((member) => ({ name: `${name}.${member.name?.getText() ?? ''}`, member }))
    )
    expect(members.length).toBeGreaterThan(100)
    // The tag of a union needs no words.
    const unexplained = members.filter(({ name, member }) =>
      !/^LeaderWork\w+\.status$/.test(name) && ts.getJSDocCommentsAndTags(member).length === 0
    )
    expect(unexplained.map(({ name }) => name)).toEqual([])
  })

  it('asks for the range of Fastify that package.json asks for', () => {
    const meta = Reflect.get(cluster, Symbol.for('plugin-meta')) as { readonly fastify: string }
    const { peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly peerDependencies: { readonly fastify: string }
    }
    expect(meta.fastify).toBe(peerDependencies.fastify)
  })

  function exportsOf (path: string): { readonly name: string, readonly symbol: ts.Symbol }[] {
    const source = program.getSourceFile(path)
    const module = source === undefined ? undefined : checker.getSymbolAtLocation(source)
    if (module === undefined) throw new Error(`${path} is not a module`)
    return checker.getExportsOfModule(module).map((symbol) => ({
      name: symbol.name,
      symbol: (symbol.flags & ts.SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(symbol) : symbol
    }))
  }

  function isOfPlugin (declaration: ts.Declaration): boolean {
    return declaration.getSourceFile().fileName.includes('/src/plugin/')
  }
})
