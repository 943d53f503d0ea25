import type { ApplyContext } from '../../raft/index.ts'
import type { OnceAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import { limits } from './limits.ts'
import type { OnceBeginCommand, OnceEnd, OnceFinishCommand, OnceForgetCommand } from './once-command.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import { isIndex, isNodeName, isOnceVersion, isRequestId, isTaskName, isToken } from './validate.ts'

/** Work that is to be done once in the cluster: one name in one version. */
export interface OnceWork {
  readonly name: string
  readonly version: string
  /**
   * `running`: an attempt is at work. `done`: one has succeeded, and there will be no other. `open`: the last attempt
   * has ended in vain, and the next caller makes another one.
   */
  readonly state: 'running' | 'done' | 'open'
  /** The node that makes the attempt, or made the last one. */
  readonly node: string
  /** Random, chosen by that node for the attempt. */
  readonly run: string
  /** The session that the attempt ends with. */
  readonly session: number
  /** Log index of its start. */
  readonly token: number
  /** Number of the attempt, from 1. */
  readonly attempt: number
  /** How the attempt before it ended, or the last one of open work; null for the first. */
  readonly previous: OnceEnd | null
  /** What done work returned, as JSON text, or why the last attempt failed; empty for neither. */
  readonly text: string
  /** The leader's time of day at the last change, in milliseconds since the epoch. */
  readonly changedAtMs: number
}

const part = 'once'
const states = new Set<unknown>(['running', 'done', 'open'])
const ends = new Set<unknown>(['failed', 'crashed', null])

/** Work that is done once. Pure: log index, log time and commands decide everything. */
export class OnceTable implements SnapshotPart {
  readonly #isOpen: (session: number) => boolean
  readonly #changed: () => void
  #works = new Map<string, OnceWork>()
  /** Tokens of the attempts at work. */
  #tokens = new Set<number>()

  /** `isOpen` says of a session whether it is; `changed` is called after each change, and must not throw. */
  constructor (isOpen: (session: number) => boolean = () => true, changed: () => void = () => {}) {
    this.#isOpen = isOpen
    this.#changed = changed
  }

  /** Begins an attempt, unless one is at work or none is needed any more. The same run again gets the same answer. */
  begin ({ name, version, node, run, session }: OnceBeginCommand, context: ApplyContext): OnceAnswer {
    const current = this.get(name, version)
    if (current?.state === 'done') return { kind: 'once-done', name, text: current.text }
    if (current?.state === 'running') return current.run === run ? begun(current) : { kind: 'once-running', name }
    if (!this.#isOpen(session)) return { kind: 'stale', name }
    if (current === undefined && this.#works.size >= limits.maxOnceWorks) {
      return refuse('RAFT_BUSY', `${limits.maxOnceWorks} pieces of work are remembered that are done once`)
    }
    const { index: token, timeOfDayMs: changedAtMs } = context
    const attempt = (current?.attempt ?? 0) + 1
    const previous = current?.previous ?? null
    const work: OnceWork = {
      name, version, state: 'running', node, run, session, token, attempt, previous, text: '', changedAtMs
    }
    this.#tokens.add(token)
    this.#put(work)
    return begun(work)
  }

  /** Ends an attempt: the work is done for good, or open again. */
  finish ({ name, version, run, failed, text }: OnceFinishCommand, context: ApplyContext): OnceAnswer {
    const current = this.get(name, version)
    if (current?.state !== 'running' || current.run !== run) return { kind: 'stale', name }
    this.#end(current, failed ? 'failed' : null, text, context)
    return { kind: 'once-ended', name }
  }

  /** Forgets work that is done or open: the next caller does it again. */
  forget ({ name, version }: OnceForgetCommand): OnceAnswer {
    const current = this.get(name, version)
    if (current === undefined || current.state === 'running') return { kind: 'stale', name }
    this.#works.delete(keyOf(current))
    this.#changed()
    return { kind: 'once-ended', name }
  }

  /** A session is over, and with it its attempts. */
  sessionEnded (session: number, context: ApplyContext): void {
    for (const work of [...this.#works.values()]) {
      if (work.state === 'running' && work.session === session) this.#end(work, 'crashed', '', context)
    }
  }

  /** The work of that name and version as applied on this node. */
  get (name: string, version: string): OnceWork | undefined { return this.#works.get(keyOf({ name, version })) }

  /** All work as applied on this node. */
  all (): IterableIterator<OnceWork> { return this.#works.values() }

  /** Whether an attempt with this token is at work. */
  hasToken (token: number): boolean { return this.#tokens.has(token) }

  get size (): number { return this.#works.size }

  capture (): Iterable<Uint8Array> {
    return encodeRecords([...this.#works.values()])
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const works = new Map<string, OnceWork>()
    for await (const record of records) {
      const work = readWork(fieldsOf(textOf(record, part), part))
      if (works.has(keyOf(work))) throw malformed(part)
      works.set(keyOf(work), work)
    }
    if (works.size > limits.maxOnceWorks) throw malformed(part)
    return () => {
      this.#works = works
      this.#tokens = new Set([...works.values()].flatMap(({ state, token }) => state === 'running' ? [token] : []))
      this.#changed()
    }
  }

  /** The whole content, as JSON. */
  toJSON (): unknown { return [...this.#works.values()] }

  /** `end` is null for an attempt that succeeded. */
  #end (work: OnceWork, end: OnceEnd | null, text: string, { timeOfDayMs: changedAtMs }: ApplyContext): void {
    this.#tokens.delete(work.token)
    if (end === null) this.#put({ ...work, state: 'done', text, changedAtMs })
    else this.#put({ ...work, state: 'open', previous: end, text, changedAtMs })
  }

  #put (work: OnceWork): void {
    this.#works.set(keyOf(work), work)
    this.#changed()
  }
}

function begun ({ name, token, attempt, previous }: OnceWork): OnceAnswer {
  return { kind: 'once-begun', name, token, attempt, previous }
}

function keyOf ({ name, version }: Pick<OnceWork, 'name' | 'version'>): string {
  return JSON.stringify([name, version])
}

function * encodeRecords (works: readonly OnceWork[]): Generator<Uint8Array, void, undefined> {
  for (const { name, version, state, node, run, session, token, attempt, previous, text, changedAtMs } of works) {
    yield recordOf(name, version, state, node, run, session, token, attempt, previous, text, changedAtMs)
  }
}

function readWork (fields: readonly unknown[]): OnceWork {
  const [name, version, state, node, run, session, token, attempt, previous, text, changedAtMs, ...more] = fields
  const isWork =
    isTaskName(name) &&
    isOnceVersion(version) &&
    states.has(state) &&
    isNodeName(node) &&
    isRequestId(run) &&
    isToken(session) &&
    isToken(token) &&
    isToken(attempt) &&
    ends.has(previous) &&
    typeof text === 'string' &&
    isIndex(changedAtMs) &&
    more.length === 0
  if (!isWork) throw malformed(part)
  return { name, version, state, node, run, session, token, attempt, previous, text, changedAtMs } as OnceWork
}
