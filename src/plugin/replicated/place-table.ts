import type { TaskAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import { limits } from './limits.ts'
import type { PlaceJoinCommand, PlaceLeaveCommand } from './place-command.ts'
import type { Candidate } from './placement.ts'
import { placeWorkers } from './placement.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import { isIndex, isNodeName, isTaskName, isToken, isWorkerCount } from './validate.ts'

/** A task that is spread, with the processes that can run it and the session that each worker belongs to. */
export interface PlacedTask {
  readonly name: string
  readonly candidates: readonly Candidate[]
  readonly places: readonly number[]
}

const part = 'places'

/**
 * Where the workers of tasks belong that are spread over the nodes. The places follow from the candidates, at the entry
 * that changes them. Pure: commands decide everything.
 */
export class PlaceTable implements SnapshotPart {
  readonly #isOpen: (session: number) => boolean
  readonly #changed: (name: string) => void
  #tasks = new Map<string, PlacedTask>()

  /** `isOpen` says of a session whether it is; `changed` is called with the task of each change, and must not throw. */
  constructor (isOpen: (session: number) => boolean = () => true, changed: (name: string) => void = () => {}) {
    this.#isOpen = isOpen
    this.#changed = changed
  }

  /** A process can run the task. */
  join ({ name, node, session, workers }: PlaceJoinCommand): TaskAnswer {
    if (!this.#isOpen(session)) return { kind: 'stale', name }
    const { candidates = [], places = [] } = this.#tasks.get(name) ?? {}
    const others = candidates.filter((candidate) => candidate.session !== session)
    if (candidates.length === 0 && this.#tasks.size >= limits.maxPlacedTasks) {
      return refuse('RAFT_BUSY', `${limits.maxPlacedTasks} tasks are spread over the nodes`)
    }
    if (others.length >= limits.maxCandidates) {
      return refuse('RAFT_BUSY', `${limits.maxCandidates} processes can run the task already`)
    }
    this.#put(name, [...others, { session, node, workers }], places)
    return { kind: 'task-placed', name }
  }

  /** A process runs the task no longer. */
  leave ({ name, session }: PlaceLeaveCommand): TaskAnswer {
    const task = this.#tasks.get(name)
    if (task !== undefined) this.#remove(task, session)
    return { kind: 'task-placed', name }
  }

  /** A session is over: its process can run nothing. */
  sessionEnded (session: number): void {
    for (const task of [...this.#tasks.values()]) this.#remove(task, session)
  }

  /** The session that a worker belongs to, as applied on this node; 0 for none. */
  sessionOf (name: string, worker: number): number { return this.#tasks.get(name)?.places[worker] ?? 0 }

  /** A task that is spread, as applied on this node. */
  get (name: string): PlacedTask | undefined { return this.#tasks.get(name) }

  /** All tasks that are spread, as applied on this node. */
  all (): IterableIterator<PlacedTask> { return this.#tasks.values() }

  get size (): number { return this.#tasks.size }

  capture (): Iterable<Uint8Array> {
    return encodeRecords([...this.#tasks.values()])
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const tasks = new Map<string, PlacedTask>()
    for await (const record of records) {
      const task = readTask(fieldsOf(textOf(record, part), part))
      if (tasks.has(task.name)) throw malformed(part)
      tasks.set(task.name, task)
    }
    if (tasks.size > limits.maxPlacedTasks) throw malformed(part)
    return () => {
      const before = this.#tasks
      this.#tasks = tasks
      for (const name of new Set([...before.keys(), ...tasks.keys()])) this.#changed(name)
    }
  }

  /** The whole content, as JSON. */
  toJSON (): unknown { return [...this.#tasks.values()] }

  #remove ({ name, candidates, places }: PlacedTask, session: number): void {
    const left = candidates.filter((candidate) => candidate.session !== session)
    if (left.length < candidates.length) this.#put(name, left, places)
  }

  #put (name: string, candidates: readonly Candidate[], before: readonly number[]): void {
    if (candidates.length === 0) this.#tasks.delete(name)
    else this.#tasks.set(name, { name, candidates, places: placeWorkers(name, candidates, before) })
    this.#changed(name)
  }
}

function * encodeRecords (tasks: readonly PlacedTask[]): Generator<Uint8Array, void, undefined> {
  for (const { name, candidates, places } of tasks) {
    yield recordOf(name, candidates.map(({ session, node, workers }) => [session, node, workers]), places)
  }
}

function readTask ([name, candidates, places, ...more]: readonly unknown[]): PlacedTask {
  const isTask =
    isTaskName(name) &&
    Array.isArray(candidates) &&
    candidates.length > 0 &&
    candidates.length <= limits.maxCandidates &&
    Array.isArray(places) &&
    places.length <= limits.maxWorkers &&
    places.every(isIndex) &&
    more.length === 0
  if (!isTask) throw malformed(part)
  const list: readonly unknown[] = candidates
  return { name: name as string, candidates: list.map(readCandidate), places: places as readonly number[] }
}

function readCandidate (value: unknown): Candidate {
  const [session, node, workers, ...more] = Array.isArray(value) ? value as readonly unknown[] : []
  const isCandidate = isToken(session) && isNodeName(node) && isWorkerCount(workers) && more.length === 0
  if (!isCandidate) throw malformed(part)
  return { session, node, workers } as Candidate
}
