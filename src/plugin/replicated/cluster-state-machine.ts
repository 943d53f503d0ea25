import type { ApplyContext, ReserveUse, StateMachine } from '../../raft/index.ts'
import { SnapshotCorruptError, SnapshotVersionError } from '../../raft/index.ts'
import { decodeSections, encodeSections } from '../../raft/internal.ts'
import type { Answer, MachineAnswer, MapAnswer, RequestAnswer, TaskAnswer } from './answer.ts'
import type { PublishedMessage } from './broadcast-table.ts'
import { BroadcastTable } from './broadcast-table.ts'
import type { Command, MachineCommand, MapCommand, RequestBeginCommand } from './command.ts'
import { decodeCommand } from './command.ts'
import { FenceTable } from './fence-table.ts'
import { IdempotencyTable } from './idempotency-table.ts'
import type { KeyLifeChange } from './key-lives.ts'
import { limits } from './limits.ts'
import { KeyedListeners, Listeners } from './listeners.ts'
import type { LockChange } from './lock-table.ts'
import { LockTable } from './lock-table.ts'
import { MapHistory } from './map-history.ts'
import { MapTable } from './map-table.ts'
import { OnceTable } from './once-table.ts'
import type { OwnerSession, OwnerSessionChange } from './owner-session-table.ts'
import { OwnerSessionTable } from './owner-session-table.ts'
import { PlaceTable } from './place-table.ts'
import type { ScheduleChange } from './schedule-table.ts'
import { ScheduleTable } from './schedule-table.ts'
import type { NamedPart } from './snapshot-records.ts'
import { readNothing, readPart, sectionsOf } from './snapshot-records.ts'
import { TallyTable } from './tally-table.ts'
import type { TaskStartCommand } from './task-command.ts'
import { TaskTable } from './task-table.ts'
import { machineSectionPrefix, UserMachines } from './user-machines.ts'

/**
 * The replicated state behind maps, locks, fences and the application's own state machines: one state machine, so that
 * one log orders them all and a fence is judged at the very entry that writes.
 */
export class ClusterStateMachine implements StateMachine {
  readonly maps: MapTable = new MapTable(limits, {
    changed: (change) => { this.history.add(change) },
    lives: {
      isOpen: (session) => this.sessions.get(session) !== undefined,
      changed: (change) => { this.#keyLifeListeners.tell(change) }
    }
  })

  readonly locks = new LockTable(
    (session) => this.sessions.get(session) !== undefined,
    (change) => { this.#lockChanged(change) }
  )

  readonly fences: FenceTable = new FenceTable((token) =>
    this.locks.hasToken(token) ||
    this.schedules.hasToken(token) ||
    this.once.hasToken(token) ||
    this.tasks.hasToken(token))

  readonly schedules: ScheduleTable = new ScheduleTable(
    () => this.fences.leadershipToken,
    (change) => { this.#scheduleListeners.tell(change) }
  )

  /** What the maps were before: of this node alone. */
  readonly history = new MapHistory(() => this.fences.lastIndex)
  readonly answers = new IdempotencyTable()
  readonly tasks = new TaskTable(() => { this.#taskListeners.tell() })
  /** Where the tasks that are spread over the nodes belong. */
  readonly places = new PlaceTable(
    (session) => this.sessions.get(session) !== undefined,
    (name) => { this.#placeListeners.tell(name) }
  )

  readonly tallies = new TallyTable((key) => { this.#tallyListeners.tell(key) })
  readonly once: OnceTable = new OnceTable(
    (session) => this.sessions.get(session) !== undefined,
    () => { this.#onceListeners.tell() }
  )

  /** The sessions that own locks, keys and tasks. */
  readonly sessions = new OwnerSessionTable(
    (session, context) => { this.#sessionEnded(session, context) },
    (change) => { this.#sessionListeners.tell(change) }
  )

  readonly machines: UserMachines
  readonly broadcasts = new BroadcastTable((message) => { this.#publishedListeners.tell(message) })
  /** Log time of the last entry that was applied. */
  #timeMs = 0
  readonly #keyLifeListeners = new Listeners<[change: KeyLifeChange]>()
  readonly #lockListeners = new Listeners<[change: LockChange]>()
  readonly #requestListeners = new KeyedListeners<[change: LockChange]>()
  readonly #tallyListeners = new KeyedListeners<[]>()
  readonly #sessionListeners = new Listeners<[change: OwnerSessionChange]>()
  readonly #scheduleListeners = new Listeners<[change: ScheduleChange]>()
  readonly #restoreListeners = new Listeners<[]>()
  readonly #taskListeners = new Listeners<[]>()
  readonly #placeListeners = new KeyedListeners<[]>()
  readonly #publishedListeners = new Listeners<[message: PublishedMessage]>()
  readonly #onceListeners = new Listeners<[]>()
  /**
   * In the order they stand in a snapshot; names, and versions from the oldest that is read to the one written, are its
   * format. A part that came later is optional: a snapshot without its section has nothing of it.
   */
  readonly #parts: readonly NamedPart[] = [
    { name: 'maps', versions: [1, 2], part: this.maps, version: () => this.maps.version },
    { name: 'locks', versions: [1, 2], part: this.locks, version: () => this.locks.version },
    { name: 'fences', versions: [1, 1], part: this.fences },
    { name: 'answers', versions: [2, 3], part: this.answers },
    { name: 'tasks', versions: [1, 2], part: this.tasks, version: () => this.tasks.version, isOptional: true },
    { name: 'places', versions: [1, 1], part: this.places, isOptional: true },
    { name: 'owner-sessions', versions: [1, 1], part: this.sessions, isOptional: true },
    { name: 'broadcasts', versions: [1, 1], part: this.broadcasts, isOptional: true },
    { name: 'tallies', versions: [1, 1], part: this.tallies, isOptional: true },
    { name: 'schedules', versions: [1, 1], part: this.schedules, isOptional: true },
    { name: 'once', versions: [1, 1], part: this.once, isOptional: true }
  ]

  /** With `freezesStates`, states of the application's machines are frozen: to change one in place throws. */
  constructor ({ freezesStates = false }: { readonly freezesStates?: boolean } = {}) {
    this.machines = new UserMachines(freezesStates)
  }

  /** Log time of the last entry that was applied on this node, in milliseconds; 0 while nothing is known of it. */
  get timeMs (): number { return this.#timeMs }

  /** Applies one command. Bytes that are not a command are answered with a refusal. */
  apply (bytes: Uint8Array, context: ApplyContext): Answer {
    this.fences.advance(context.index)
    this.#timeMs = context.timeMs
    const command = decodeCommand(bytes)
    if (command.kind === 'refused') return command
    const answer = this.#applyCommand(command, context)
    this.locks.grantDue(context)
    return answer
  }

  #applyCommand (command: Command, context: ApplyContext): Answer {
    switch (command.kind) {
      case 'map-set':
      case 'map-delete':
      case 'map-transact': return this.answers.applyOnce(command, context, () => this.#applyToMap(command, context))
      case 'map-expire': return this.maps.expire(command, context)
      case 'machine': return this.answers.applyOnce(command, context, () => this.#applyToMachine(command, context))
      case 'request-begin': return this.#beginRequest(command, context)
      case 'request-finish': return this.answers.finish(command, context)
      case 'lock-acquire': return this.locks.acquire(command, context)
      case 'lock-renew': return this.locks.renew(command)
      case 'lock-release': return this.locks.release(command, context)
      case 'lock-abandon': return this.locks.abandon(command, context)
      case 'lock-expire': return this.locks.expire(command, context)
      case 'task-start': return this.#startTask(command, context)
      case 'task-stop': return this.tasks.stop(command)
      case 'place-join': return this.places.join(command)
      case 'place-leave': return this.places.leave(command)
      case 'once-begin': return this.once.begin(command, context)
      case 'once-finish': return this.once.finish(command, context)
      case 'once-forget': return this.once.forget(command)
      case 'lock-grant': return { kind: 'lock-due' }
      case 'tally-add':
      case 'tally-remove':
      case 'bucket-take': return this.tallies.apply(command, context)
      case 'session-open': return this.sessions.open(command, context)
      case 'session-keep': return this.sessions.keep(command)
      case 'session-end': return this.sessions.end(command, context)
      case 'session-expire': return this.sessions.expire(command, context)
      case 'broadcast': return this.broadcasts.publish(command, context)
      case 'schedule-define': return this.schedules.define(command, context)
      case 'schedule-remove': return this.schedules.remove(command)
      case 'schedule-fire': return this.schedules.fire(command, context)
      case 'schedule-next': return this.schedules.next(command, context)
      case 'schedule-finish': return this.schedules.finish(command, context)
      case 'schedule-lose': return this.schedules.lose(command, context)
      case 'schedule-run': return this.schedules.run(command, context)
      case 'schedule-backfill': return this.schedules.backfill(command)
      case 'schedule-pause': return this.schedules.pause(command, context)
      case 'schedule-resume': return this.schedules.resume(command, context)
    }
  }

  /**
   * Deletes without an idempotency key, and the end of locks, sessions and tasks, free space; renewals and beats keep
   * them, and tasks go on elsewhere. The rest may grow.
   */
  readonly reserveUse = (bytes: Uint8Array): ReserveUse | null => {
    const command = decodeCommand(bytes)
    switch (command.kind) {
      // A key that is remembered takes more than many a deleted value gives back.
      case 'map-delete': return command.once === undefined ? 'frees' : null
      case 'map-expire':
      case 'lock-release':
      case 'lock-abandon':
      case 'lock-expire':
      case 'lock-grant':
      case 'tally-remove':
      case 'schedule-finish':
      case 'schedule-lose':
      case 'schedule-remove':
      case 'session-end':
      case 'session-expire':
      case 'task-stop':
      case 'place-leave':
      case 'once-forget': return 'frees'
      // What is remembered of runs is bounded for each schedule.
      case 'schedule-fire':
      case 'schedule-next':
      case 'schedule-pause':
      case 'schedule-resume':
      case 'session-keep':
      case 'lock-renew':
      case 'place-join':
      case 'task-start': return 'keeps'
      // What has run has room for its answer since it began.
      case 'once-finish':
      case 'request-finish': return 'keeps'
      case 'request-begin':
      case 'map-set':
      case 'map-transact':
      case 'lock-acquire':
      case 'session-open':
      case 'tally-add':
      case 'bucket-take':
      case 'once-begin':
      case 'machine':
      case 'broadcast':
      case 'schedule-define':
      case 'schedule-run':
      case 'schedule-backfill':
      case 'refused': return null
    }
  }

  /** A leadership started; its token replaces the last one's. */
  leadershipStarted (context: ApplyContext): void {
    this.fences.advance(context.index)
    this.#timeMs = context.timeMs
    this.fences.leadershipStarted(context)
  }

  snapshot (): AsyncIterable<Uint8Array> {
    return encodeSections([
      ...this.#parts.flatMap(sectionsOf),
      ...this.machines.capture()
    ])
  }

  async restore (source: AsyncIterable<Uint8Array>): Promise<void> {
    const commits = new Map<string, () => void>([['', () => { this.machines.reset() }]])
    for await (const section of decodeSections(source)) {
      if (section.name.startsWith(machineSectionPrefix)) {
        commits.set(section.name, await this.machines.read(section))
        continue
      }
      const known = this.#parts.find(({ name }) => name === section.name)
      if (known === undefined) {
        throw new SnapshotVersionError(
          `The snapshot has a section "${section.name}", which this release does not know. Use the release that ` +
            'wrote it, or a later one.'
        )
      }
      commits.set(known.name, await readPart(section, known.versions, known.part))
    }
    for (const { name, part, isOptional = false } of this.#parts) {
      if (commits.has(name)) continue
      if (!isOptional) throw new SnapshotCorruptError(`The snapshot has no section "${name}".`)
      commits.set(name, await readNothing(part))
    }
    // From here on nothing can fail and no other code runs in between: all parts are replaced, or none is.
    for (const commit of commits.values()) commit()
    this.history.restart()
    this.#restoreListeners.tell()
  }

  /**
   * Calls `listener` when a snapshot has replaced the whole state; it must not throw. Locks that differ from before are
   * also told to the listeners of {@link ClusterStateMachine.onLockChange}. The function returned ends it.
   */
  onRestore (listener: () => void): () => void {
    return this.#restoreListeners.add(listener)
  }

  /**
   * Calls `listener` for every change of a lock that is applied on this node, within `apply`; it must not throw.
   * Local, not replicated. The function returned ends it.
   */
  onLockChange (listener: (change: LockChange) => void): () => void {
    return this.#lockListeners.add(listener)
  }

  /**
   * Calls `listener` whenever a task starts or ends on some node, as applied on this one; it must not throw. Local, not
   * replicated. The function returned ends it.
   */
  onTaskChange (listener: () => void): () => void {
    return this.#taskListeners.add(listener)
  }

  /** Calls `listener` whenever the places of this task may have changed; otherwise as `onTaskChange`. */
  onPlaceChange (name: string, listener: () => void): () => void {
    return this.#placeListeners.add(name, listener)
  }

  /**
   * Calls `listener` for every change of what this request was granted; otherwise as `onLockChange`. It costs the
   * changes of other locks nothing.
   */
  onLockRequest (requestId: string, listener: (change: LockChange) => void): () => void {
    return this.#requestListeners.add(requestId, listener)
  }

  /** Calls `listener` whenever a key gets a time to live or has lost it; otherwise as `onLockChange`. */
  onKeyLifeChange (listener: (change: KeyLifeChange) => void): () => void {
    return this.#keyLifeListeners.add(listener)
  }

  /** Calls `listener` for every change of a number, by its key; otherwise as `onLockChange`. */
  onTallyChange (key: string, listener: () => void): () => void {
    return this.#tallyListeners.add(key, listener)
  }

  /** Calls `listener` for every change of a session that owns things; otherwise as `onLockChange`. */
  onSessionChange (listener: (change: OwnerSessionChange) => void): () => void {
    return this.#sessionListeners.add(listener)
  }

  /**
   * Calls `listener` for every broadcast that is applied on this node, within `apply`; it must not throw. Local, not
   * replicated. The function returned ends it.
   */
  onPublished (listener: (message: PublishedMessage) => void): () => void {
    return this.#publishedListeners.add(listener)
  }

  /** As {@link ClusterStateMachine.onLockChange}, for schedules. */
  onScheduleChange (listener: (change: ScheduleChange) => void): () => void {
    return this.#scheduleListeners.add(listener)
  }

  /** Calls `listener` whenever an attempt at work that is done once begins or ends; otherwise as `onTaskChange`. */
  onOnceChange (listener: () => void): () => void {
    return this.#onceListeners.add(listener)
  }

  /** The whole replicated state, as JSON: equal on nodes that have applied the same entries. */
  toJSON (): unknown {
    const { maps, locks, fences, answers, sessions, tallies, tasks, places, schedules, once } = this
    const { broadcasts, machines } = this
    return { maps, locks, fences, answers, sessions, tallies, tasks, places, schedules, once, broadcasts, machines }
  }

  #applyToMap (command: MapCommand, context: ApplyContext): MapAnswer {
    if (!this.fences.allows(command.fence)) return { kind: 'fenced', token: command.fence ?? 0 }
    switch (command.kind) {
      case 'map-set': return this.maps.set(command, context)
      case 'map-delete': return this.maps.delete(command, context)
      case 'map-transact': return this.maps.transact(command, context)
    }
  }

  #applyToMachine (command: MachineCommand, context: ApplyContext): MachineAnswer {
    if (!this.fences.allows(command.fence)) return { kind: 'fenced', token: command.fence ?? 0 }
    return this.machines.apply(command, context)
  }

  #beginRequest (command: RequestBeginCommand, context: ApplyContext): RequestAnswer {
    if (!this.fences.allows(command.fence)) return { kind: 'fenced', token: command.fence }
    return this.answers.begin(command, context)
  }

  #startTask (command: TaskStartCommand, context: ApplyContext): TaskAnswer {
    const { name, worker = 0, fence, session } = command
    const isAllowed = session === undefined
      ? fence !== undefined && this.fences.allows(fence)
      : this.places.sessionOf(name, worker) === session
    if (!isAllowed) return { kind: 'fenced', token: session ?? fence ?? 0 }
    return this.tasks.start(command, context)
  }

  /** What a session owned ends at the same entry: part of the replicated function, so that the order counts. */
  #sessionEnded ({ id }: OwnerSession, context: ApplyContext): void {
    this.locks.sessionEnded(id, context)
    this.maps.sessionEnded(id, context)
    this.once.sessionEnded(id, context)
    this.places.sessionEnded(id)
  }

  #lockChanged (change: LockChange): void {
    this.#requestListeners.tell(change.lock.requestId, change)
    this.#lockListeners.tell(change)
  }
}
