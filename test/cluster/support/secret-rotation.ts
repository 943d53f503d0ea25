import { writeFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pollUntil } from '../../../src/cli/local/polling.ts'
import { makeSecret } from '../../../src/raft/trust/secret.ts'
import { parsed } from './impostor.ts'
import type { LogLine, NotesCopy } from './notes-cluster.ts'
import { NotesCluster } from './notes-cluster.ts'
import type { RenewalResult, RenewalStep } from './renewal-under-load.ts'
import { renewUnderLoad } from './renewal-under-load.ts'

/** How a rotation is run. */
export interface SecretRotationOptions {
  readonly rounds: number
  readonly perSecond: number
}

/** What is seen when one copy gets the new secret at once, before the others know it. */
export interface WrongOrderResult extends RenewalResult {
  /** The codes and messages in the log of the copy that was too early, and in that of the leader. */
  readonly earlyLog: readonly string[]
  readonly leaderLog: readonly string[]
}

const takenTimeoutMs = 10_000

/** Three copies, each with a secret file of its own. */
export class RotatingCluster {
  readonly cluster: NotesCluster
  #secret: string

  /** `program`: the compiled `notes-app.ts`; as `npm run build:tools` leaves it unless given. */
  static async start (program?: string): Promise<RotatingCluster> {
    const secret = makeSecret()
    const cluster = await NotesCluster.start({
      ...(program === undefined ? {} : { program }),
      options: (id, directory) => {
        const secretFile = join(directory, `${id}.secret`)
        writeFileSync(secretFile, secret, { mode: 0o600 })
        return { secretFile }
      }
    })
    return new RotatingCluster(cluster, secret)
  }

  private constructor (cluster: NotesCluster, secret: string) {
    this.cluster = cluster
    this.#secret = secret
  }

  /** Replaces the secret in three steps, as often as asked. */
  async rotate ({ rounds, perSecond }: SecretRotationOptions): Promise<RenewalResult> {
    const steps: RenewalStep[] = []
    for (let round = 0; round < rounds; round++) {
      const [old, next] = [this.#secret, makeSecret()]
      for (const [name, secrets] of [['old, new', [old, next]], ['new, old', [next, old]], ['new', [next]]] as const) {
        steps.push({ name, make: async () => { await this.#give(this.cluster.copies, secrets) } })
      }
      this.#secret = next
    }
    return await renewUnderLoad(this.cluster, { perSecond }, steps)
  }

  /** Gives one follower a new secret alone, and the old one back. Clients use the other copies meanwhile. */
  async rotateInWrongOrder (perSecond: number): Promise<WrongOrderResult> {
    const [early] = await this.cluster.followers()
    const leader = await this.cluster.leader()
    if (early === undefined) throw new Error('there are two followers')
    const before = { early: early.lines().length, leader: leader.lines().length }
    const otherSecret = (copy: NotesCopy, from: number): readonly string[] => copy.lines().slice(from)
      .filter((line) => JSON.stringify(line).includes('another secret'))
      .map(({ msg, err, reason }) => [msg, err?.message ?? reason].join(': '))
    const result = await renewUnderLoad(this.cluster, { perSecond, except: early }, [
      {
        name: 'new, at once',
        make: async () => {
          await this.#give([early], [makeSecret()])
          await pollUntil('both sides to say so', takenTimeoutMs, async () =>
            otherSecret(early, before.early).length > 0 && otherSecret(leader, before.leader).length > 0 ? true : null)
        }
      },
      {
        name: 'old',
        make: async () => {
          await this.#give([early], [this.#secret])
          await this.cluster.ready()
        }
      }
    ])
    return { ...result, earlyLog: otherSecret(early, before.early), leaderLog: otherSecret(leader, before.leader) }
  }

  async stop (): Promise<void> {
    await this.cluster.stop()
  }

  /** Replaces the files as a whole, and waits until each copy says that it has read its own. */
  async #give (copies: readonly NotesCopy[], secrets: readonly string[]): Promise<void> {
    const expected = JSON.stringify(secrets.map((secret) => parsed(secret).fingerprint))
    const isRead = ({ msg, secrets: read }: LogLine): boolean =>
      msg === 'the secret file was read again' && JSON.stringify(read) === expected
    const logged = copies.map((copy) => copy.lines().length)
    await Promise.all(copies.map(async ({ id }) => {
      const path = join(this.cluster.directory, `${id}.secret`)
      await writeFile(`${path}.next`, `${secrets.join('\n')}\n`, { mode: 0o600 })
      await rename(`${path}.next`, path)
    }))
    await Promise.all(copies.map(async (copy, at) => {
      await pollUntil(`${copy.id} to read its secret file`, takenTimeoutMs, async () =>
        copy.lines().slice(logged[at]).some(isRead) ? true : null)
    }))
  }
}
