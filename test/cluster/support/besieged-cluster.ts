import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Child } from '../../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { gatewaySecretOf, makeSecret, readSecrets } from '../../../src/raft/trust/secret.ts'
import type { GatewayProcess } from './gateway-process.ts'
import { startGateway } from './gateway-process.ts'
import type { NotesCopy } from './notes-cluster.ts'
import { NotesCluster } from './notes-cluster.ts'
import type { LoadFigures } from './notes-load.ts'
import { NotesLoad } from './notes-load.ts'
import { send } from './requests.ts'
import { program } from './start-cluster.ts'

const perSecond = 100
const warmUpMs = 1_000
const calmMs = 1_500
/** How long each attack goes on. */
const attackMs = 600
/** Attackers at the same time. */
const attackers = 2
/** Of the rate before; what is printed is the exact share. */
const leastShare = 0.5
const startTimeoutMs = 20_000
const stopGraceMs = 6_000

/** Who leads and who follows. */
interface Roles {
  readonly leader: NotesCopy
  readonly follower: NotesCopy
  readonly otherFollower: NotesCopy
  readonly term: number
}

async function rolesIn (cluster: NotesCluster): Promise<Roles> {
  const leader = await cluster.leader()
  const [follower, otherFollower] = cluster.copies.filter((copy) => copy !== leader)
  const status = await cluster.status(leader)
  if (follower === undefined || otherFollower === undefined || status === null) throw new Error('there are three copies')
  return { leader, follower, otherFollower, term: status.term }
}

/** Three real copies of the notes app that share a secret, a gateway, and clients that go on all the time. */
export class BesiegedCluster {
  readonly secret: string
  readonly cluster: NotesCluster
  readonly gatewayUrl: string
  readonly #gateway: Child
  readonly #load: NotesLoad
  readonly #calm: LoadFigures
  #roles: Roles

  /** `intercepted`: somebody is on the way between the copies, and clients ask one follower alone. */
  static async start ({ intercepted = false }: { readonly intercepted?: boolean } = {}): Promise<BesiegedCluster> {
    const secret = makeSecret()
    const cluster = await NotesCluster.start({
      intercepted,
      options: (id, directory) => {
        const secretFile = join(directory, `${id}.secret`)
        writeFileSync(secretFile, secret, { mode: 0o600 })
        return { secretFile }
      }
    })
    const gatewaySecretFile = join(cluster.directory, 'gateway.secret')
    writeFileSync(gatewaySecretFile, gatewaySecrets(secret), { mode: 0o600 })
    const gateway = await startGateway(program, cluster, ['--secret-file', gatewaySecretFile]).catch(async (error: unknown) => {
      await cluster.stop()
      throw error
    })
    try {
      const roles = await rolesIn(cluster)
      const { leader, follower, otherFollower } = roles
      for (let number = 0; number < 20; number++) {
        const answer = await send('PUT', `${leader.url}/kept/${number}`, { text: `kept ${number}` })
        expect(answer.status).toBe(200)
      }
      // Where copies are restarted, clients stay with the others.
      const urls = [...(intercepted ? [] : [follower.url]), otherFollower.url]
      const load = new NotesLoad({ urls, perSecond })
      await delay(warmUpMs)
      const window = load.window()
      await delay(calmMs)
      const calm = window.end()
      return new BesiegedCluster({ secret, cluster, gateway, roles, load, calm })
    } catch (error) {
      await gateway.child.stop(stopGraceMs)
      await cluster.stop()
      throw error
    }
  }

  private constructor ({ secret, cluster, gateway, roles, load, calm }: {
    readonly secret: string
    readonly cluster: NotesCluster
    readonly gateway: GatewayProcess
    readonly roles: Roles
    readonly load: NotesLoad
    readonly calm: LoadFigures
  }) {
    this.secret = secret
    this.cluster = cluster
    this.#roles = roles
    this.gatewayUrl = gateway.url
    this.#gateway = gateway.child
    this.#load = load
    this.#calm = calm
  }

  get leader (): NotesCopy { return this.#roles.leader }
  get follower (): NotesCopy { return this.#roles.follower }
  get otherFollower (): NotesCopy { return this.#roles.otherFollower }
  get term (): number { return this.#roles.term }

  /** Looks who leads now, and in which term: a busy machine may have had an election since. */
  async look (): Promise<void> {
    this.#roles = await rolesIn(this.cluster)
  }

  /**
   * Repeats an attack, which looks at its own refusals, for a while and from several sides. Then leader, term, members
   * and what is kept have to be as they were, and the clients must have been served meanwhile. Prints their share of
   * the rate before.
   */
  async underAttack (name: string, attack: () => Promise<void>, lastsMs = attackMs): Promise<void> {
    const before = await this.cluster.facts()
    const window = this.#load.window()
    const endsMs = performance.now() + lastsMs
    let attempts = 0
    await Promise.all(Array.from({ length: attackers }, async () => {
      do {
        await attack()
        attempts++
      } while (performance.now() < endsMs)
    }))
    const { perSecond: rate, p50Ms, p99Ms, failures } = window.end()
    const share = Number((rate / this.#calm.perSecond).toFixed(2))
    process.stderr.write(`${JSON.stringify({ attack: name, attempts, share, p50Ms, p99Ms, calmP99Ms: this.#calm.p99Ms })}\n`)
    expect(await this.cluster.facts()).toEqual(before)
    expect(failures).toEqual([])
    expect(share).toBeGreaterThanOrEqual(leastShare)
  }

  /** Ends the clients. Each copy must hold exactly what was acknowledged to them, and `others`. */
  async endClients (others: ReadonlyArray<readonly [key: string, text: string]> = []): Promise<LoadFigures> {
    const figures = await this.#load.stop()
    const expected = [...this.#load.acknowledged, ...others].sort(([one], [other]) => one < other ? -1 : 1)
    for (const { id, url } of this.cluster.copies) {
      await pollUntil(`${id} to hold the notes`, startTimeoutMs, async () => {
        const stored = await getJson<{ readonly notes: ReadonlyArray<readonly [string, string]> }>(`${url}/stored`, startTimeoutMs)
        return JSON.stringify(stored?.notes) === JSON.stringify(expected) ? true : null
      })
    }
    return figures
  }

  async stop (): Promise<void> {
    await this.#load.stop()
    await this.#gateway.stop(stopGraceMs)
    await this.cluster.stop()
  }
}

/** What a gateway proves with, made of what the copies have. */
function gatewaySecrets (secret: string): string {
  const reading = readSecrets([secret])
  if (reading.kind === 'faults') throw new Error('it is one')
  return reading.current.map(gatewaySecretOf).join('\n')
}
