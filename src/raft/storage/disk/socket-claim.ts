import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rmdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from './file-operations.ts'
import type { LocalListener } from './local-socket.ts'
import { listen, openShortPath, probeSocket } from './local-socket.ts'

/** The name in a data directory that its owner holds: a directory with the owner's socket in it. */
const claimName = 'claim'

/** A claim in preparation, of the process that drew this id. */
function stageName (id: string): string {
  return `${claimName}-${id}`
}

/** Whether a name in a data directory belongs to a claim, or is left of one. */
export function isClaimName (name: string): boolean {
  return /^claim(-[0-9a-f]{16})?$/.test(name)
}

/** Bytes that the path of a socket adds to that of the data directory. */
const nameBytes = '/claim-0123456789abcdef/0123456789abcdef'.length

/** Each lost attempt is another process that has won or given up meanwhile; so many in a row mean something else. */
const maxAttempts = 100

/** Answers of a file system that keeps no sockets. */
const noSocketCodes: ReadonlySet<string | undefined> = new Set([
  'EACCES',
  'EINVAL',
  'ENOSYS',
  'ENOTSUP',
  'ENXIO',
  'EOPNOTSUPP',
  'EPERM'
])

/** No claim: the file system keeps no sockets, or the path is too long for one. No living owner was seen. */
interface Unsupported {
  readonly kind: 'unsupported'
  /** For people, to follow a colon. */
  readonly reason: string
}

/** The result of {@link claimBySocket}. */
export type SocketClaim =
  | { readonly kind: 'owned', readonly release: () => Promise<void> }
  | { readonly kind: 'in-use' }
  | Unsupported

/**
 * Claims a directory by a socket in it, for as long as this process lives. All processes under the same kernel see the
 * claim, whatever their network namespaces: a socket with a path belongs to the file system.
 *
 * The owner's socket listens at `claim/<id>`. A claimant prepares a directory of its own, `claim-<id>`, with its
 * listening socket in it, and renames it to `claim`. The kernel does that only while `claim` is missing or empty, so of
 * several claimants one succeeds. Before, a claimant removes the sockets of dead owners from `claim`, each by its id.
 * No id is drawn twice: a claimant that has been slow cannot remove the socket of an owner that came meanwhile.
 *
 * Rejects with system errors, for example when this process may not write the directory, or when there is no space.
 */
export async function claimBySocket (directory: string): Promise<SocketClaim> {
  const short = await openShortPath(directory, nameBytes)
  if (short === null) return { kind: 'unsupported', reason: 'its path is too long for a socket' }
  try {
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const claim = await tryToClaim(directory, short.path)
      if (claim !== 'lost') return claim
    }
  } finally {
    await short.close()
  }
  throw new Error(`${maxAttempts} attempts to claim it were lost to other processes`)
}

/** Whether a living process owns the directory by a socket in it. Changes nothing. */
export async function isOwnedBySocket (directory: string): Promise<boolean> {
  const short = await openShortPath(directory, nameBytes)
  if (short === null) return false
  try {
    for (const name of await namesIn(join(directory, claimName))) {
      if (await probeSocket(join(short.path, claimName, name)) === 'listening') return true
    }
    return false
  } finally {
    await short.close()
  }
}

async function tryToClaim (directory: string, shortPath: string): Promise<SocketClaim | 'lost'> {
  if (await removeDead(directory, shortPath, claimName) === 'alive') return { kind: 'in-use' }
  // On a full disk this is the space that the stage needs.
  await removeIfEmpty(join(directory, claimName))
  const id = randomBytes(8).toString('hex')
  const stage = join(directory, stageName(id))
  await mkdir(stage, { mode: 0o700 })
  try {
    const prepared = await prepare(stage, join(shortPath, stageName(id), id))
    if (prepared === 'lost' || prepared.kind === 'unsupported') return prepared
    const { listener } = prepared
    if (await publish(directory, id)) {
      await removeLeftovers(directory, shortPath)
      return { kind: 'owned', release: () => release(directory, id, listener) }
    }
    await unlinkIfThere(join(stage, id))
    await listener.close()
    return 'lost'
  } finally {
    await removeIfEmpty(stage)
  }
}

/** Listens, and tries whether that can be seen: `lost` when an owner took the stage for a leftover and removed it. */
async function prepare (
  stage: string,
  socketPath: string
): Promise<{ readonly kind: 'ready', readonly listener: LocalListener } | Unsupported | 'lost'> {
  let listener: LocalListener
  try {
    listener = await listen(socketPath)
  } catch (error) {
    if (!await exists(stage)) return 'lost'
    const code = systemErrorCode(error)
    if (!noSocketCodes.has(code)) throw error
    return { kind: 'unsupported', reason: `its file system keeps no sockets (${code})` }
  }
  const state = await probeSocket(socketPath).catch(async (error: unknown) => {
    await listener.close()
    throw error
  })
  if (state === 'listening') return { kind: 'ready', listener }
  await listener.close()
  if (state === 'missing') return 'lost'
  return { kind: 'unsupported', reason: 'sockets on its file system cannot be connected to' }
}

/** Whether the claim is now ours. */
async function publish (directory: string, id: string): Promise<boolean> {
  try {
    await rename(join(directory, stageName(id)), join(directory, claimName))
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOENT') return false
    throw error
  }
  // An owner that took the stage for a leftover may have removed the socket from it just before.
  return await exists(join(directory, claimName, id))
}

async function release (directory: string, id: string, listener: LocalListener): Promise<void> {
  try {
    await unlinkIfThere(join(directory, claimName, id))
    await removeIfEmpty(join(directory, claimName))
  } catch {
    // On a disk that fails, for example. The next claimant removes a socket without a listener.
  } finally {
    await listener.close()
  }
}

/** Removes what claimants left that died before they could publish. */
async function removeLeftovers (directory: string, shortPath: string): Promise<void> {
  try {
    for (const name of await namesIn(directory)) {
      if (name === claimName || !isClaimName(name)) continue
      if (await removeDead(directory, shortPath, name) === 'dead') await removeIfEmpty(join(directory, name))
    }
  } catch {
    // They harm nobody, and the next owner tries again.
  }
}

/** Removes the sockets without a listener from a claim or a stage, unless one has a listener. */
async function removeDead (directory: string, shortPath: string, name: string): Promise<'alive' | 'dead'> {
  for (const id of await namesIn(join(directory, name))) {
    const state = await probeSocket(join(shortPath, name, id))
    if (state === 'listening') return 'alive'
    if (state === 'dead') await unlinkIfThere(join(directory, name, id))
  }
  return 'dead'
}

/** Resolves with null when the work fails with one of these codes. */
async function unless<Result> (codes: readonly string[], work: Promise<Result>): Promise<Result | null> {
  try {
    return await work
  } catch (error) {
    if (codes.includes(systemErrorCode(error) ?? '')) return null
    throw error
  }
}

async function namesIn (directory: string): Promise<readonly string[]> {
  return await unless(['ENOENT'], readdir(directory)) ?? []
}

async function exists (path: string): Promise<boolean> {
  return await unless(['ENOENT'], stat(path)) !== null
}

async function unlinkIfThere (path: string): Promise<void> {
  await unless(['ENOENT'], unlink(path))
}

async function removeIfEmpty (directory: string): Promise<void> {
  await unless(['ENOENT', 'ENOTEMPTY', 'EEXIST'], rmdir(directory))
}
