import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The server of a sketch's leader for its clients: a route of Fastify, or the bare HTTP server. */
export type Front = 'fastify' | 'node:http'

interface Member {
  readonly url: string
  readonly child: ChildProcess
}

/** A leader and two followers of sketch-node.ts. */
export class SketchCluster {
  readonly #members: readonly Member[]
  readonly url: string

  private constructor (leader: Member, followers: readonly Member[]) {
    this.#members = [leader, ...followers]
    this.url = leader.url
  }

  /** Its files go below `directory`, which is created. */
  static async start (directory: string, front: Front): Promise<SketchCluster> {
    await mkdir(directory)
    const followers = await Promise.all(['s2', 's3'].map((name) => startMember(join(directory, name), [])))
    return new SketchCluster(
      await startMember(join(directory, 's1'), [front, ...followers.map(({ url }) => url)]),
      followers
    )
  }

  get pids (): readonly number[] { return this.#members.map(({ child }) => child.pid ?? 0) }

  async stop (): Promise<void> {
    await Promise.all(this.#members.map(async ({ child }) => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    }))
  }
}

/** Resolves when it listens, and rejects when it ends before that. It ends with this process. */
async function startMember (directory: string, leading: readonly string[]): Promise<Member> {
  await mkdir(directory)
  // This file runs from build/bench.
  const child = fork(fileURLToPath(new URL('sketch-node.js', import.meta.url)), [directory, ...leading])
  return await new Promise((resolve, reject) => {
    child.once('message', (message) => { resolve({ url: (message as { readonly url: string }).url, child }) })
    child.once('exit', (code) => { reject(new Error(`a sketch ended with code ${code} before it listened`)) })
    child.once('error', reject)
  })
}
