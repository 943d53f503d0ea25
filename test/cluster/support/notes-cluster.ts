import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child } from '../../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { freePorts } from '../../../src/cli/local/ports.ts'
import type { ClusterStatus, Membership } from '../../../src/plugin/index.ts'
import { Interceptor } from './interceptor.ts'

/** A line of a log, as far as tests look at it. */
export interface LogLine {
  readonly msg?: string
  readonly code?: string
  readonly reason?: string
  readonly err?: { readonly message?: string, readonly code?: string }
  readonly secrets?: readonly string[]
}

/** One copy of the notes app. */
export interface NotesCopy {
  readonly id: string
  /** Where it listens. */
  readonly url: string
  /** Where the others reach it: the same, or over its interceptor. */
  readonly memberUrl: string
  readonly interceptor: Interceptor | null
  readonly child: Child
  /** What it has logged so far. */
  readonly lines: () => readonly LogLine[]
}

/** What {@link NotesCluster} is made of. */
export interface NotesClusterOptions {
  /** The compiled `notes-app.ts`; as `npm run build:tools` leaves it unless given. */
  readonly program?: string
  /** Whether the copies reach each other over interceptors of this process, which record from the start. */
  readonly intercepted?: boolean
  /** More arguments of the program. */
  readonly args?: readonly string[]
  /** More options of the plugin, for each copy. `directory` exists already. */
  readonly options?: (id: string, directory: string) => object
}

/** What an attack must leave as it was. */
export interface ClusterFacts {
  readonly leaders: readonly unknown[]
  readonly terms: readonly number[]
  readonly memberships: readonly unknown[]
  readonly kept: readonly unknown[]
}

/** The answer of `GET v1/members`. */
export interface MembersAnswer extends Membership {
  readonly clusterId: string
  readonly clusterUuid: string | null
}

const builtProgram = fileURLToPath(new URL('../../../build/test/cluster/tools/notes-app.js', import.meta.url))
const readyTimeoutMs = 30_000
const requestTimeoutMs = 5_000
const stopGraceMs = 6_000

/** Three real processes of the notes app. */
export class NotesCluster {
  readonly copies: readonly NotesCopy[]
  readonly directory: string

  /** Starts all copies and resolves when they are ready and know each other's logs. */
  static async start (options: NotesClusterOptions = {}): Promise<NotesCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-notes-'))
    const ids = ['n1', 'n2', 'n3']
    const urls = (await freePorts(ids.length)).map((port) => `http://127.0.0.1:${port}`)
    const interceptors = options.intercepted === true
      ? await Promise.all(urls.map(async (url) => await Interceptor.open(url)))
      : []
    for (const interceptor of interceptors) interceptor.recorded = []
    const members = ids.map((id, at) => ({ id, url: interceptors[at]?.url ?? urls[at] ?? '' }))
    const program = options.program ?? builtProgram
    const copies = ids.map((id, at): NotesCopy => {
      const url = urls[at] ?? ''
      const { port } = new URL(url)
      const pluginOptions = {
        id,
        members,
        dataDir: join(directory, id),
        debugHashes: true,
        ...options.options?.(id, directory)
      }
      const args = [program, '--port', port, '--options', JSON.stringify(pluginOptions), ...options.args ?? []]
      const logFile = join(directory, `${id}.log`)
      return {
        id,
        url,
        memberUrl: members[at]?.url ?? '',
        interceptor: interceptors[at] ?? null,
        child: new Child({ name: id, args, logFile }),
        lines: () => linesIn(logFile)
      }
    })
    const cluster = new NotesCluster(directory, copies)
    try {
      for (const { child } of copies) child.start()
      await cluster.ready()
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  private constructor (directory: string, copies: readonly NotesCopy[]) {
    this.directory = directory
    this.copies = copies
  }

  /** The copy that leads by what all copies say. */
  async leader (): Promise<NotesCopy> {
    return await pollUntil('a leader that all follow', readyTimeoutMs, async () => {
      const statuses = await Promise.all(this.copies.map(async (copy) => await this.status(copy)))
      return this.copies.find(({ id }) => statuses.every((status) => status?.leader?.id === id)) ?? null
    })
  }

  async followers (): Promise<readonly NotesCopy[]> {
    const leader = await this.leader()
    return this.copies.filter((copy) => copy !== leader)
  }

  async status ({ url }: NotesCopy): Promise<ClusterStatus | null> {
    return await getJson<ClusterStatus>(`${url}/_cluster/v1/status`, requestTimeoutMs)
  }

  /** Who belongs, as a copy knows it. */
  async members ({ url }: NotesCopy): Promise<MembersAnswer> {
    const answer = await getJson<MembersAnswer>(`${url}/_cluster/v1/members`, requestTimeoutMs)
    if (answer === null) throw new Error(`${url} does not tell its members`)
    return answer
  }

  /** What an attack must leave as it was, as each copy sees it. */
  async facts (): Promise<ClusterFacts> {
    const statuses = await Promise.all(this.copies.map(async (copy) => await this.status(copy)))
    return {
      leaders: statuses.map((status) => status?.leader?.id),
      terms: statuses.map((status) => status?.term ?? -1),
      memberships: await Promise.all(this.copies.map(async (copy) => await this.members(copy))),
      kept: await Promise.all(this.copies.map(async ({ url }) => await getJson(`${url}/kept`, requestTimeoutMs)))
    }
  }

  /** How often handlers wrote a note, on all copies together. */
  async executed (key: string): Promise<number> {
    const counts = await Promise.all(this.copies.map(async ({ url }) =>
      (await getJson<{ readonly times: number }>(`${url}/executed/${key}`, requestTimeoutMs))?.times ?? 0))
    return counts.reduce((sum, times) => sum + times, 0)
  }

  /** Kills a copy and starts it again. Resolves when it is ready. */
  async restart (copy: NotesCopy): Promise<void> {
    await copy.child.kill('SIGKILL')
    copy.child.start()
    await this.ready()
  }

  /** Resolves when all copies are ready, and the log of each has the incarnations of all. */
  async ready (): Promise<void> {
    for (const copy of this.copies) {
      const { id, url, child } = copy
      await pollUntil(`${id} to be ready`, readyTimeoutMs, async () => {
        if (!child.running) throw new Error(`${id} ended while it was starting:\n${child.logTail()}`)
        return await getJson(`${url}/_cluster/v1/readyz`, requestTimeoutMs)
      })
      await pollUntil(`${id} to know all logs`, readyTimeoutMs, async () =>
        (await this.members(copy)).members.every(({ incarnation }) => incarnation !== undefined) ? true : null)
    }
  }

  /** Stops everything and removes its data. */
  async stop (): Promise<void> {
    await Promise.all(this.copies.map(async ({ child }) => await child.stop(stopGraceMs)))
    await Promise.all(this.copies.map(async ({ interceptor }) => { await interceptor?.close() }))
    await rm(this.directory, { recursive: true, force: true })
  }
}

/** The whole lines of a log: the last one may be under way. One that is no JSON is kept as its message. */
export function linesIn (logFile: string): readonly LogLine[] {
  return readFileSync(logFile, 'utf8').split('\n').slice(0, -1).map((line) => {
    try {
      return JSON.parse(line) as LogLine
    } catch {
      return { msg: line }
    }
  })
}
