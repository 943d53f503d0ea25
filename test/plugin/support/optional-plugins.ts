import { createRequire } from 'node:module'
import type { FastifyPluginCallback } from 'fastify'
import { describe } from 'vitest'

/** A plugin that the tests know the options of, and the compiler does not. */
export type AnyPlugin = FastifyPluginCallback<Readonly<Record<string, unknown>>>

const require = createRequire(import.meta.url)

/**
 * A package that may be installed or not; null when it is not. It is looked for where this file's own are, and in the
 * directories of `NODE_PATH`.
 */
export function optionalPackage (name: string): unknown {
  try {
    require.resolve(name)
  } catch {
    return null
  }
  return require(name)
}

/** The plugins of these packages, in the order of their names. */
type PluginsOf<Names extends readonly string[]> = { readonly [Index in keyof Names]: AnyPlugin }

/** A group of tests that needs these packages. Where one is missing they are skipped, and the title says which. */
export function describeBeside<const Names extends readonly string[]> (
  names: Names,
  tests: (plugins: PluginsOf<Names>) => void
): void {
  const packages = names.map((name) => optionalPackage(name))
  const missing = names.filter((_, index) => packages[index] === null)
  const title = `beside ${names.join(' and ')}`
  const declare = (): void => { tests(packages as unknown as PluginsOf<Names>) }
  const isMissing = missing.length > 0
  describe.skipIf(isMissing)(isMissing ? `${title}: not installed: ${missing.join(', ')}` : title, declare)
}
