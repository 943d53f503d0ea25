import Fastify from 'fastify'
import ts from 'typescript'
import * as plugin from '../../../src/plugin/index.ts'
import * as errors from '../../../src/raft/errors.ts'
import { snippets } from './snippets.ts'

/** What snippets import. */
const modules: Readonly<Record<string, unknown>> = {
  fastify: { default: Fastify },
  'fastify-raft': plugin,
  'fastify-raft/errors': errors
}

const AsyncFunction = (async () => {}).constructor as new (...texts: string[]) => (
  require: (name: string) => unknown
) => Promise<Record<string, unknown>>

/**
 * Runs the TypeScript snippet of a document that holds `text`, the only one that does, and resolves with the values
 * that it gave these names.
 */
export async function runSnippet (
  document: string,
  text: string,
  names: readonly string[],
  more: Readonly<Record<string, unknown>> = {}
): Promise<Record<string, unknown>> {
  const found = snippets.filter(({ language, place, code }) =>
    language === 'ts' && place.startsWith(document) && code.includes(text))
  if (found.length !== 1) throw new Error(`${document} has ${found.length} snippets with "${text}"`)
  const { outputText } = ts.transpileModule(found[0]?.code ?? '', {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.CommonJS,
      esModuleInterop: true,
      experimentalDecorators: true
    }
  })
  const known = { ...modules, ...more }
  const run = new AsyncFunction('require', `const exports = {}; ${outputText}; return { ${names.join(', ')} }`)
  return await run((name) => {
    if (!(name in known)) throw new Error(`the snippet imports ${name}`)
    const module = known[name] as object
    return { __esModule: true, ...module }
  })
}
