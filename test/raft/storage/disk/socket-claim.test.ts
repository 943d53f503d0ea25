import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type * as LocalSocket from '../../../../src/raft/storage/disk/local-socket.ts'
import type { SocketClaim } from '../../../../src/raft/storage/disk/socket-claim.ts'
import { claimBySocket, isClaimName, isOwnedBySocket } from '../../../../src/raft/storage/disk/socket-claim.ts'
import { codeOf, systemError, temporaryDirectory } from '../support/opening.ts'

interface Hooks {
  /** What listening fails with, in place of the file system; null: it works. */
  listen: Error | null
  /** What happens once, before the next socket listens and after the next one was probed. */
  beforeListen: ((path: string) => Promise<void>) | null
  afterProbe: ((path: string) => Promise<void>) | null
}

const hooks: Hooks = vi.hoisted(() => ({ listen: null, beforeListen: null, afterProbe: null }))

vi.mock('../../../../src/raft/storage/disk/local-socket.ts', async (original) => {
  const real = await original<typeof LocalSocket>()
  return {
    ...real,
    listen: async (path: string) => {
      const { beforeListen } = hooks
      hooks.beforeListen = null
      await beforeListen?.(path)
      if (hooks.listen !== null) throw hooks.listen
      return await real.listen(path)
    },
    probeSocket: async (path: string) => {
      const state = await real.probeSocket(path)
      const { afterProbe } = hooks
      hooks.afterProbe = null
      await afterProbe?.(path)
      return state
    }
  }
})

async function owned (directory: string): Promise<{ readonly release: () => Promise<void> }> {
  const claim = await claimBySocket(directory)
  if (claim.kind !== 'owned') throw new Error(`It is ${claim.kind}`)
  return claim
}

async function kindOf (directory: string): Promise<SocketClaim['kind']> {
  const claim = await claimBySocket(directory)
  if (claim.kind === 'owned') await claim.release()
  return claim.kind
}

/** A process of its own whose socket listens at this path. */
async function listener (path: string): Promise<{ readonly signal: (name: NodeJS.Signals) => Promise<void> }> {
  const script = 'require("net").createServer().listen(process.argv[1], () => console.log("listening"))'
  const child = spawn(process.execPath, ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => { child.kill('SIGKILL') })
  await once(child.stdout, 'data')
  return {
    signal: async (name) => {
      const exited = once(child, 'exit')
      child.kill(name)
      if (name === 'SIGKILL') await exited
    }
  }
}

/** Leaves a socket without a listener, as a killed process does. */
async function deadSocket (path: string): Promise<void> {
  const server = createServer()
  await new Promise<void>((resolve) => { server.listen(`${path}.bound`, resolve) })
  await rename(`${path}.bound`, path)
  await new Promise((resolve) => server.close(resolve))
  expect((await stat(path)).isSocket()).toBe(true)
}

/** What a killed owner leaves in a directory. */
async function deadClaim (directory: string, name = 'claim', id = '00000000000000aa'): Promise<void> {
  await mkdir(join(directory, name), { recursive: true })
  await deadSocket(join(directory, name, id))
}

describe.skipIf(process.platform === 'win32')('a claim by a socket in the directory', () => {
  it('has one owner until it is released, and leaves nothing', async () => {
    const directory = await temporaryDirectory()
    const first = await owned(directory)
    expect(await readdir(directory)).toEqual(['claim'])
    expect((await stat(join(directory, 'claim'))).mode & 0o777).toBe(0o700)
    expect(await isOwnedBySocket(directory)).toBe(true)
    expect(await kindOf(directory)).toBe('in-use')
    await first.release()
    expect(await readdir(directory)).toEqual([])
    expect(await isOwnedBySocket(directory)).toBe(false)
    expect(await kindOf(directory)).toBe('owned')
    expect(await readdir(directory)).toEqual([])
  })

  it('ends with its process: a stopped owner keeps it, a killed one does not', async () => {
    const directory = await temporaryDirectory()
    await mkdir(join(directory, 'claim'))
    const owner = await listener(join(directory, 'claim', '00000000000000aa'))
    expect(await kindOf(directory)).toBe('in-use')
    await owner.signal('SIGSTOP')
    expect(await kindOf(directory)).toBe('in-use')
    await owner.signal('SIGKILL')
    expect(await readdir(join(directory, 'claim'))).toEqual(['00000000000000aa'])
    expect(await isOwnedBySocket(directory)).toBe(false)
    const next = await owned(directory)
    expect(await readdir(join(directory, 'claim'))).toHaveLength(1)
    await next.release()
    expect(await readdir(directory)).toEqual([])
  })

  it('of many that start at once on a dead claim, exactly one wins', async () => {
    const directory = await temporaryDirectory()
    for (let round = 0; round < 40; round++) {
      await deadClaim(directory)
      const claims = await Promise.all(Array.from({ length: 24 }, () => claimBySocket(directory)))
      const kinds = claims.map(({ kind }) => kind).sort()
      expect(kinds, `round ${round}`).toEqual([...Array<string>(23).fill('in-use'), 'owned'])
      expect(await readdir(directory)).toEqual(['claim'])
      for (const claim of claims) if (claim.kind === 'owned') await claim.release()
      expect(await readdir(directory)).toEqual([])
    }
  })

  it('has never two owners while many claim and release it, over dead claims and leftovers', async () => {
    const directory = await temporaryDirectory()
    let [owners, terms, dead] = [0, 0, 0]
    await Promise.all(Array.from({ length: 12 }, async () => {
      while (terms < 60) {
        const claim = await claimBySocket(directory)
        if (claim.kind !== 'owned') continue
        owners++
        terms++
        expect(owners).toBe(1)
        expect(await kindOf(directory)).toBe('in-use')
        dead++
        await deadClaim(directory, `claim-${dead.toString(16).padStart(16, '0')}`)
        expect(owners).toBe(1)
        owners--
        await claim.release()
      }
    }))
    expect(terms).toBeGreaterThanOrEqual(60)
    expect(await kindOf(directory)).toBe('owned')
    expect(await readdir(directory)).toEqual([])
  })

  it('a claimant that found the owner dead, and was slow, does not remove the next owner', async () => {
    const directory = await temporaryDirectory()
    await deadClaim(directory)
    let next: { readonly release: () => Promise<void> } | null = null
    // It has removed the dead socket already and is about to listen.
    hooks.beforeListen = async () => { next = await owned(directory) }
    expect(await kindOf(directory)).toBe('in-use')
    expect(next).not.toBeNull()
    expect(await kindOf(directory)).toBe('in-use')
    await (next as unknown as { readonly release: () => Promise<void> }).release()
    expect(await readdir(directory)).toEqual([])
  })

  it.each(['before it listens', 'with its socket'])('a claimant whose stage is removed %s starts over', async (when) => {
    const directory = await temporaryDirectory()
    let removed = 0
    hooks.beforeListen = async (path) => {
      const stage = join(path, '..')
      if (when === 'before it listens') await rm(stage, { recursive: true })
      else setImmediate(() => { rm(stage, { recursive: true }).catch(() => {}) })
      removed++
    }
    const claim = await owned(directory)
    expect(removed).toBe(1)
    expect(await isOwnedBySocket(directory)).toBe(true)
    expect(await kindOf(directory)).toBe('in-use')
    await claim.release()
    expect((await readdir(directory)).filter((name) => !isClaimName(name))).toEqual([])
  })

  it('a claimant whose socket is removed right before it publishes does not take that for a claim', async () => {
    const directory = await temporaryDirectory()
    let removed = ''
    hooks.afterProbe = async (path) => {
      removed = path
      await unlink(path)
    }
    const claim = await owned(directory)
    expect(removed).toMatch(/claim-[0-9a-f]{16}\/[0-9a-f]{16}$/)
    expect(await isOwnedBySocket(directory)).toBe(true)
    await claim.release()
    expect(await readdir(directory)).toEqual([])
  })

  it('an owner removes what claimants left that were killed, but nothing of one that lives', async () => {
    const directory = await temporaryDirectory()
    await deadClaim(directory, 'claim-0000000000000001')
    await mkdir(join(directory, 'claim-0000000000000002'))
    await mkdir(join(directory, 'claim-0000000000000003'))
    await listener(join(directory, 'claim-0000000000000003', '0000000000000003'))
    await writeFile(join(directory, 'claim-form.pdf'), 'x')
    const claim = await owned(directory)
    expect((await readdir(directory)).sort()).toEqual(['claim', 'claim-0000000000000003', 'claim-form.pdf'])
    await claim.release()
    expect((await readdir(directory)).sort()).toEqual(['claim-0000000000000003', 'claim-form.pdf'])
  })

  it.runIf(process.platform === 'linux')('works however long the path is', async () => {
    const directory = join(await temporaryDirectory(), 'x'.repeat(200), 'y'.repeat(200))
    await mkdir(directory, { recursive: true })
    const first = await owned(directory)
    expect(await isOwnedBySocket(directory)).toBe(true)
    expect(await kindOf(directory)).toBe('in-use')
    await first.release()
    expect(await kindOf(directory)).toBe('owned')
    expect(await readdir(directory)).toEqual([])
  })

  it.each(['EPERM', 'ENOTSUP'])('is unsupported, and leaves nothing, where sockets cannot be bound (%s)', async (code) => {
    const directory = await temporaryDirectory()
    hooks.listen = systemError(code)
    onTestFinished(() => { hooks.listen = null })
    expect(await claimBySocket(directory)).toEqual({
      kind: 'unsupported',
      reason: `its file system keeps no sockets (${code})`
    })
    expect(await readdir(directory)).toEqual([])
  })

  it.each(['ENOSPC', 'EMFILE'])('any other trouble (%s) is an error, and leaves nothing', async (code) => {
    const directory = await temporaryDirectory()
    hooks.listen = systemError(code)
    onTestFinished(() => { hooks.listen = null })
    expect(await codeOf(claimBySocket(directory))).toBe(code)
    expect(await readdir(directory)).toEqual([])
  })

  it('a file in the place of the claim is an error', async () => {
    const directory = await temporaryDirectory()
    await writeFile(join(directory, 'claim'), 'x')
    expect(await codeOf(claimBySocket(directory))).toBe('ENOTDIR')
    expect(await readdir(directory)).toEqual(['claim'])
  })
})

describe('names of claims', () => {
  it('are told from other names', () => {
    expect(['claim', 'claim-0123456789abcdef', 'claims', 'claim-1', 'claim-0123456789abcdeg', 'wal-spare'].map(isClaimName))
      .toEqual([true, true, false, false, false, false])
  })
})
