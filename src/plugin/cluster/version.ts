import { createRequire } from 'node:module'

interface PackageJson {
  readonly version: string
}

/** The version of this package. */
export const version: string = (createRequire(import.meta.url)('fastify-raft/package.json') as PackageJson).version
