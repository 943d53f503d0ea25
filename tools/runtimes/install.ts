import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packageOf } from './plan.ts'

/** A version of Node.js that can run tests here, or the reason why it cannot. */
export type Runtime =
  /** `directory` holds the executable `node`. */
  | { readonly kind: 'installed', readonly major: number, readonly version: string, readonly directory: string }
  | { readonly kind: 'missing', readonly major: number, readonly why: string }

const run = promisify(execFile)
const installTimeoutMs = 180_000
const versionTimeoutMs = 10_000

/**
 * Installs the newest Node.js of a major version from npm into the user's cache, outside of the project and its lock
 * file. Without an answer from npm, a version that is in the cache is taken. Never rejects.
 */
export async function installRuntime (major: number): Promise<Runtime> {
  const name = packageOf(process.platform, process.arch)
  if (name === null) {
    return { kind: 'missing', major, why: `npm has no binaries for ${process.platform} on ${process.arch}` }
  }
  const prefix = join(cacheDirectory(), String(major))
  const directory = join(prefix, 'node_modules', name, 'bin')
  const failure = await install(`${name}@${major}`, prefix)
  const version = await versionOf(join(directory, 'node'))
  if (version?.startsWith(`v${major}.`) === true) return { kind: 'installed', major, version, directory }
  return { kind: 'missing', major, why: failure ?? `the binary of ${name} does not run here` }
}

/** The reason why npm did not install the package, or null when it did. */
async function install (packageRange: string, prefix: string): Promise<string | null> {
  try {
    await mkdir(prefix, { recursive: true })
    await run(
      'npm',
      ['install', '--prefix', prefix, '--no-save', '--no-package-lock', '--no-audit', '--no-fund', packageRange],
      { cwd: prefix, timeout: installTimeoutMs, killSignal: 'SIGKILL' }
    )
    return null
  } catch (error) {
    return `npm did not install ${packageRange}: ${firstLine(error)}`
  }
}

async function versionOf (executable: string): Promise<string | null> {
  try {
    return (await run(executable, ['--version'], { timeout: versionTimeoutMs })).stdout.trim()
  } catch {
    return null
  }
}

function cacheDirectory (): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'fastify-raft', 'runtimes')
}

function firstLine (error: unknown): string {
  const text = error instanceof Error && 'stderr' in error && error.stderr !== '' ? String(error.stderr) : String(error)
  return text.trim().split('\n')[0] ?? ''
}
