import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Root of this repository. */
export const root = fileURLToPath(new URL('../../..', import.meta.url))

const run = promisify(execFile)

/** A file that `npm pack` would put into the package. */
export interface PackedFile {
  readonly path: string
}

/** What `npm pack` puts into the package. Scripts do not run: the build is there already. */
export async function packedFiles (): Promise<readonly PackedFile[]> {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    maxBuffer: 16_777_216
  })
  const [packed] = Object.values(JSON.parse(stdout) as Record<string, { readonly files: readonly PackedFile[] }>)
  return packed?.files ?? []
}

/**
 * Makes a project that has the packed package installed, with the dependencies it lists and nothing else. Returns its
 * directory, which the caller removes.
 */
export async function installInConsumer (): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-consumer-'))
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], {
    cwd: root,
    maxBuffer: 16_777_216
  })
  const [packed] = Object.values(JSON.parse(stdout) as Record<string, { readonly filename: string }>)
  const installed = join(directory, 'node_modules', 'fastify-raft')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', join(directory, packed?.filename ?? ''), '-C', installed, '--strip-components=1'])
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    dependencies: object
    peerDependencies: object
  }
  for (const name of [
    ...Object.keys(manifest.dependencies),
    ...Object.keys(manifest.peerDependencies),
    '@types/node'
  ]) {
    const target = join(directory, 'node_modules', name)
    await mkdir(dirname(target), { recursive: true })
    await symlink(join(root, 'node_modules', name), target)
  }
  return directory
}

/** Runs Node.js in a directory and answers its output. Rejects when it fails. */
export async function runNode (directory: string, args: readonly string[]): Promise<string> {
  return (await run(process.execPath, args, { cwd: directory, timeout: 30_000 })).stdout
}

/** Type-checks a project by its tsconfig.json and answers what the compiler says: nothing, if all is well. */
export async function typeCheck (directory: string): Promise<string> {
  try {
    await run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', directory], {
      cwd: directory,
      timeout: 60_000
    })
    return ''
  } catch (error) {
    return error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
  }
}
