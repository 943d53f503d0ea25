import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Child } from '../../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { Balancer } from './balancer.ts'

/** What a run of restarts is made of. Durations in milliseconds. */
export interface RollingRestartOptions {
  /** The compiled `test/cluster/tools/working-app.ts`. */
  readonly program: string
  /** How often each of the three copies is restarted. */
  readonly rounds: number
  /** How long each handler works before it uses the cluster. */
  readonly workMs: number
  readonly closeTimeoutMs: number
  /** Requests at a time. */
  readonly clients: number
  /** More arguments of the program. */
  readonly more?: readonly string[]
  readonly onRestart?: (exit: CopyExit) => void
}

/** How a copy ended after SIGTERM. */
export interface CopyExit {
  readonly id: string
  readonly code: number | null
  readonly signal: string | null
  readonly tookMs: number
}

/** The result of a run of restarts. */
export interface RollingRestartResult {
  readonly requests: number
  /** Requests that a closing copy refused and another one served. */
  readonly passedOn: number
  /** What went wrong, one entry a request. */
  readonly failures: readonly string[]
  /** Answered writes that are not stored. */
  readonly lost: readonly string[]
  readonly exits: readonly CopyExit[]
  /** How each copy ended when it had nothing to do. */
  readonly idleExits: readonly CopyExit[]
  readonly elapsedMs: number
}

interface RunningCopy {
  readonly id: string
  readonly url: string
  readonly child: Child
}

const readyTimeoutMs = 60_000
const requestTimeoutMs = 5_000
/** A balancer has noticed that the last copy is back, and clients have used it. */
const pauseMs = 300

/** Restarts three copies of an app, one after the other, with SIGTERM and under load. */
export async function runRollingRestart (options: RollingRestartOptions): Promise<RollingRestartResult> {
  const startedMs = performance.now()
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-rolling-'))
  const copies = await describeCopies(directory, options)
  try {
    for (const { child } of copies) child.start()
    await Promise.all(copies.map(ready))
    const load = new Load(copies.map(({ url }) => url), options.clients)
    const exits: CopyExit[] = []
    for (let round = 0; round < options.rounds; round++) {
      for (const copy of copies) {
        await delay(pauseMs)
        const exit = await terminate(copy)
        exits.push(exit)
        options.onRestart?.(exit)
        copy.child.start()
        await ready(copy)
      }
    }
    await delay(pauseMs)
    await load.stop()
    const lost = await load.lost(copies[0]?.url ?? '')
    const idleExits: CopyExit[] = []
    for (const copy of copies) {
      idleExits.push(await terminate(copy))
      copy.child.start()
      await ready(copy)
    }
    const { requests, failures, passedOn } = load
    const elapsedMs = Math.round(performance.now() - startedMs)
    return { requests, passedOn, failures, lost, exits, idleExits, elapsedMs }
  } finally {
    await Promise.all(copies.map(async ({ child }) => await child.kill('SIGKILL')))
    await rm(directory, { recursive: true, force: true })
  }
}

async function describeCopies (
  directory: string,
  { program, workMs, closeTimeoutMs, more = [] }: RollingRestartOptions
): Promise<readonly RunningCopy[]> {
  const urls = (await freePorts(3)).map((port) => `http://127.0.0.1:${port}`)
  const members = urls.map((url, at) => `n${at + 1}=${url}`).join(',')
  return urls.map((url, at) => {
    const id = `n${at + 1}`
    const args = [
      program,
      '--id', id,
      '--members', members,
      '--data-dir', join(directory, id),
      '--work-ms', String(workMs),
      '--close-timeout-ms', String(closeTimeoutMs),
      ...more
    ]
    return { id, url, child: new Child({ name: id, args, logFile: join(directory, `${id}.log`) }) }
  })
}

async function ready ({ id, url, child }: RunningCopy): Promise<void> {
  await pollUntil(`${id} to be ready`, readyTimeoutMs, async () => {
    if (!child.running) throw new Error(`${id} ended while it was starting:\n${child.logTail()}`)
    return await getJson(`${url}/_cluster/v1/readyz`, requestTimeoutMs)
  })
}

async function terminate ({ id, child }: RunningCopy): Promise<CopyExit> {
  const startedMs = performance.now()
  const { code, signal } = await child.kill('SIGTERM')
  return { id, code, signal, tookMs: Math.round(performance.now() - startedMs) }
}

/** Clients that write and read through a balancer, each one request after the other. */
class Load {
  readonly #balancer: Balancer
  readonly #written: string[] = []
  readonly #running: Promise<unknown>
  #isStopping = false
  requests = 0
  readonly failures: string[] = []

  constructor (urls: readonly string[], clients: number) {
    this.#balancer = new Balancer(urls)
    this.#running = Promise.all(Array.from({ length: clients }, async (_, client) => { await this.#work(client) }))
  }

  get passedOn (): number { return this.#balancer.passedOn }

  async stop (): Promise<void> {
    this.#isStopping = true
    await this.#running
    await this.#balancer.stop()
  }

  /** Answered writes that a copy does not have. */
  async lost (url: string): Promise<readonly string[]> {
    const lost: string[] = []
    for (const key of this.#written) {
      const found = await getJson<{ readonly value: unknown }>(`${url}/stored/${key}`, requestTimeoutMs)
      if (found?.value !== key) lost.push(key)
    }
    return lost
  }

  async #work (client: number): Promise<void> {
    for (let number = 0; !this.#isStopping; number++) {
      const key = `${client}-${number}`
      const kind = (client + number) % 3
      const isWrite = kind !== 2
      const path = isWrite ? `/${kind === 0 ? 'here' : 'leader'}/${key}` : `/here/${client}-${Math.max(0, number - 1)}`
      const outcome = await this.#balancer.send({
        method: isWrite ? 'PUT' : 'GET',
        path,
        body: isWrite ? { value: key } : null
      })
      this.requests++
      if (outcome.kind === 'failed') this.failures.push(outcome.what)
      else if (isWrite) this.#written.push(key)
    }
  }
}
