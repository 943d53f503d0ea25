import { join } from 'node:path'
import { parseArgs } from 'node:util'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../src/cli/flags/command-line.ts'
import { optionsSchema } from '../../src/plugin/index.ts'
import { mutants } from '../sim/mutants.ts'
import { splitShell } from './support/shell.ts'
import { documents, read, root, snippets } from './support/snippets.ts'
import { testFiles, titlesIn } from './support/titles.ts'

function inLanguage (language: string) {
  return snippets.filter((snippet) => snippet.language === language)
}
const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> }

describe('the documents', () => {
  it('hold snippets of known kinds only', () => {
    expect(new Set(snippets.map(({ language }) => language))).toEqual(new Set(['', 'ts', 'sh', 'yaml']))
    expect(inLanguage('ts').length).toBeGreaterThanOrEqual(3)
  })

  it('name every option of the plugin, and its default', () => {
    for (const [name, schema] of Object.entries(optionsSchema.properties)) {
      const row = optionRows().find(({ names }) => names.includes(name))
      expect(row, name).toBeDefined()
      if ('default' in schema) expect(row?.defaults[row.names.indexOf(name)], name).toBe(String(schema.default))
    }
    // A function, which has no place in a schema.
    const all = [...Object.keys(optionsSchema.properties), 'authorize']
    expect(optionRows().flatMap(({ names }) => names).sort()).toEqual(all.sort())
  })

  it.each(['forward', 'snapshots'] as const)('name every option inside %s, and its default', (group) => {
    const meaning = optionRows().find(({ names }) => names.includes(group))?.meaning ?? ''
    const shown = [...meaning.matchAll(/`(\w+)` \(([^)]+)\)/g)].map(([, name, value]) => [name, value])
    const expected = Object.entries(optionsSchema.properties[group].properties).map(([name, schema]) => [
      name,
      !('default' in schema) ? '' : typeof schema.default === 'boolean' ? `${schema.default}` : textOf(name, Number(schema.default))
    ])
    expect(shown.sort()).toEqual(expected.sort())
  })

  it('name every script that they ask to run', () => {
    const named = documents.flatMap((document) =>
      [...read(document).matchAll(/`npm run ([\w:]+)/g)].map(([, script]) => script)
    )
    expect(named.filter((script) => script !== undefined && !(script in scripts))).toEqual([])
  })
})

describe('every TypeScript snippet', () => {
  it('compiles, as strictly as the library itself', { timeout: 60_000 }, () => {
    expect(compile(inLanguage('ts').map(({ place, code }) => ({ place, code })))).toEqual([])
  })

  it('would be found out if it did not', { timeout: 60_000 }, () => {
    const broken = "import cluster from 'fastify-raft'\ncluster.nonsense()"
    expect(compile([{ place: 'here', code: broken }])).toEqual([
      expect.stringContaining("here: Property 'nonsense' does not exist")
    ])
  })
})

describe('every shell snippet', () => {
  const lines = inLanguage('sh').flatMap(({ place, code }) =>
    code
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => ({ place, line }))
  )

  it.each(lines)('$place: $line', ({ line }) => {
    for (const command of line.split(' && ')) checkCommand(splitShell(command))
  })
})

/** The rows of the README's table of options. A default may be followed by the same in other words, in parentheses. */
function optionRows (): { readonly names: string[], readonly defaults: string[], readonly meaning: string }[] {
  const lines = read('README.md').split('\n')
  const rows = lines.slice(lines.indexOf('| option | default | meaning |') + 2)
  return rows.slice(0, rows.indexOf('')).map((line) => {
    const [names = '', defaults = '', ...meaning] = line.slice(1, -1).split('|').map((cell) => cell.trim())
    const items = (cell: string): string[] =>
      cell.split(', ').map((item) => item.replaceAll('`', '').replace(/ \(.*\)$/, ''))
    return { names: items(names), defaults: items(defaults), meaning: meaning.join('|') }
  })
}

/** A default as the README writes it: bytes in MiB. */
function textOf (name: string, value: number): string {
  return /bytes/i.test(name) ? `${value / 1_048_576} MiB` : String(value)
}

/** Whether the command can work: curl is run against a cluster in test/package, npm by whoever runs these tests. */
function checkCommand ([program, ...args]: readonly string[]): void {
  switch (program) {
    case 'npm':
      if (args[0] !== 'ci') expect(Object.keys(scripts)).toContain(args[0] === 'run' ? args[1] : args[0])
      return
    case 'npx':
      if (args[0] === 'vitest') {
        checkVitest(args.slice(1))
        return
      }
      expect(args[0]).toBe('fastify-raft')
      expect(parseCommandLine(args.slice(1), {}).kind).toBe(args[1])
      return
    case 'curl':
      expect(args.some((argument) => argument.startsWith('http://127.0.0.1:'))).toBe(true)
      return
    case 'openssl': // run by certificates.test.ts
      expect(args[0]).toBe('req')
      return
    default: throw new Error(`Nobody checks ${program}`)
  }
}

/** Whether vitest would find the project, the files and, with `-t`, a title. */
function checkVitest (args: readonly string[]): void {
  const { values, positionals: [command, path = 'test', ...more] } = parseArgs({
    args: [...args],
    options: { project: { type: 'string' }, 'test-name-pattern': { type: 'string', short: 't', default: '' } },
    allowPositionals: true
  })
  expect([command, more]).toEqual(['run', []])
  expect(read('vitest.config.ts')).toContain(`name: '${values.project ?? ''}'`)
  const found = testFiles.filter((file) => file === path || file.startsWith(`${path}/`))
  const titles = found.flatMap((file) => [...titlesIn(file).it, ...titlesIn(file).describe])
  const names = found.includes('test/sim/mutants.test.ts') ? mutants.map(({ name }) => name) : []
  expect([...titles, ...names].filter((title) => title.includes(values['test-name-pattern']))).not.toEqual([])
}

/** What the compiler says of these modules; the package resolves to its sources. */
function compile (modules: readonly { readonly place: string, readonly code: string }[]): string[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.base.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object }
  }
  const entry = (path: string): string[] => [join(root, 'src', path)]
  const paths = {
    'fastify-raft': entry('plugin/index.ts'),
    'fastify-raft/gateway': entry('gateway/index.ts'),
    'fastify-raft/raft': entry('raft/index.ts'),
    'fastify-raft/errors': entry('raft/errors.ts'),
    'fastify-raft/node-cron': entry('plugin/node-cron.ts'),
    'fastify-raft/testing': entry('testing/index.ts')
  }
  const { options } = ts.convertCompilerOptionsFromJson(
    {
      ...config.compilerOptions,
      noEmit: true,
      allowImportingTsExtensions: true,
      rewriteRelativeImportExtensions: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
      // Those of Nest are of this kind.
      experimentalDecorators: true,
      paths
    },
    root
  )
  const files = new Map(modules.map(({ place, code }, index) => [join(root, `snippet-${index}.ts`), { place, code }]))
  const host = ts.createCompilerHost(options)
  const withSnippets: ts.CompilerHost = {
    ...host,
    fileExists: (path) => files.has(path) || host.fileExists(path),
    readFile: (path) => files.get(path)?.code ?? host.readFile(path),
    getSourceFile: (path, ...rest) => {
      const file = files.get(path)
      return file === undefined
        ? host.getSourceFile(path, ...rest)
        : ts.createSourceFile(path, file.code, ts.ScriptTarget.ES2023, true)
    }
  }
  const program = ts.createProgram([...files.keys()], options, withSnippets)
  return [...files].flatMap(([path, { place }]) => {
    const source = program.getSourceFile(path)
    const faults = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    return faults.map(({ messageText }) => `${place}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
  })
}
