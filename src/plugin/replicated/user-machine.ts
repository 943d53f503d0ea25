import type { ApplyContext } from '../../raft/index.ts'
import { isRaftError, MachineFailedError, MachineVersionError } from '../../raft/index.ts'
import type { MachineAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import type { MachineCommand } from './command.ts'
import { isSafeJson, jsonFault } from './json-value.ts'
import { limits } from './limits.ts'
import { decodeValues, encodeValues } from './value-records.ts'

/** Where in the log a command stands, and who wrote it; the same on every node. */
export interface MachineContext extends Pick<ApplyContext, 'index' | 'term'> {
  /**
   * The leader's time of day in milliseconds since the epoch. It never falls, and jumps where a wall clock was set
   * forward.
   */
  readonly timeMs: number
  /** Version of the machine on the node that proposed the command: at most the machine's own. */
  readonly version: number
}

/** Result of one command: what `apply` returns. */
export interface MachineApplied<State, Answer> {
  /** The next state. Return the given one when nothing changed. */
  readonly state: State
  /** Answer to the caller of `propose`. JSON, or undefined for no answer. */
  readonly answer: Answer
}

/**
 * A replicated state machine: a state, and how a command changes it. The same on every node.
 *
 * `apply` has to be a function of its arguments alone: every node runs it, at another time, and again after a restart.
 * No clock, no randomness, nothing from outside. Where it needs the time or an id, it takes them from the context.
 */
export interface MachineDefinition<State, Command, Answer> {
  /**
   * An integer, 1 or higher. Raise it when commands or the state change their form: a node with an older version then
   * halts at a newer command and refuses a newer snapshot, instead of diverging.
   */
  readonly version: number
  /** The state before the first command. JSON, unless `snapshot` and `restore` turn it into JSON. */
  readonly initial: () => State
  /**
   * Applies one command, synchronously. Takes the state as a value: gives the next one back and never changes the one
   * it was given. A refusal is an answer; a throw halts this node, and every other that comes to the same entry.
   */
  readonly apply: (state: State, command: Command, context: MachineContext) => MachineApplied<State, Answer>
  /**
   * The state as JSON values, one by one, for states that are large or not JSON. They are asked for while commands go
   * on to be applied, and must not show them. With it the state itself may be anything and is not checked. Left out:
   * the state as one value, written out in one go.
   *
   * A throw stops nothing: the node logs it, shows it as `snapshotFailure` in its status, keeps its whole log and tries
   * again later.
   */
  readonly snapshot?: (state: State) => Iterable<unknown> | AsyncIterable<unknown>
  /**
   * The state that these values stand for. `version` is that of the machine that wrote them. Required with `snapshot`,
   * and for snapshots of an older version. A throw stops this node, and leaves its data as it is.
   */
  readonly restore?: (values: AsyncIterable<unknown>, version: number) => State | Promise<State>
}

/** A definition whose types are not known. */
export type AnyMachineDefinition = MachineDefinition<unknown, unknown, unknown>

/** A user's state machine at work: its definition, and its state as applied on this node. */
export class UserMachine {
  readonly name: string
  readonly #definition: AnyMachineDefinition
  readonly #freezes: boolean
  #state: unknown
  /** Whether a command was ever applied. Until then there is nothing that a snapshot would have to carry. */
  #isUsed = false

  constructor (name: string, definition: AnyMachineDefinition, freezes: boolean) {
    this.name = name
    this.#definition = definition
    this.#freezes = freezes
    this.#state = this.#firstState()
  }

  get version (): number { return this.#definition.version }
  get isUsed (): boolean { return this.#isUsed }
  /** Not to be changed. */
  get state (): unknown { return this.#state }

  apply ({ version, command }: MachineCommand, { index, term, timeOfDayMs }: ApplyContext): MachineAnswer {
    if (version > this.version) {
      throw new MachineVersionError(
        `The command at index ${index} is of version ${version} of the state machine "${this.name}"; this node has ` +
          `version ${this.version}. Start it with a release that has version ${version} or later.`
      )
    }
    if (!isSafeJson(command, limits.maxValueDepth)) {
      return refuse(
        'RAFT_MALFORMED_COMMAND',
        `The command has a member __proto__ or constructor, or nests deeper than ${limits.maxValueDepth} levels`
      )
    }
    try {
      const { state, answer } = this.#applied(
        this.#definition.apply(this.#state, command, { index, term, timeMs: timeOfDayMs, version })
      )
      const fault = this.#stateFault(state) ?? answerFault(answer)
      // An answer and no throw: every node comes to it, and all of them can go on.
      if (fault !== null) {
        return refuse('RAFT_NOT_JSON', `"${this.name}" failed at index ${index}: ${fault}; the command changed nothing`)
      }
      const answerJson = JSON.stringify(answer) as string | undefined
      this.#state = state
      this.#isUsed = true
      return answerJson === undefined ? { kind: 'machine-answer' } : { kind: 'machine-answer', answerJson }
    } catch (cause) {
      throw new Error(
        `"${this.name}" failed at index ${index}: ${messageOf(cause)}`,
        { cause }
      )
    }
  }

  /** Back to the first state. */
  reset (): void {
    this.#state = this.#firstState()
    this.#isUsed = false
  }

  /** Captures the state within the call, as records. */
  capture (): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
    const { snapshot } = this.#definition
    try {
      // Written as JSON at once, so that the snapshot is right even if the application changes the state in place.
      if (snapshot === undefined) return encodeValues([JSON.stringify(this.#state)])
      return encodeValues(this.#values(snapshot(this.#state)))
    } catch (cause) {
      throw this.#notCaptured(cause)
    }
  }

  /** Reads what `capture` gave. Changes nothing; the function it resolves with replaces the state. */
  async read (records: AsyncIterable<Uint8Array>, version: number): Promise<() => void> {
    if (version > this.version) {
      throw new MachineVersionError(
        `The snapshot has the state machine "${this.name}" in version ${version}; this node has version ` +
          `${this.version}. Start it with a release that has version ${version} or later.`
      )
    }
    const state = await this.#restored(decodeValues(records), version)
    const fault = this.#stateFault(state)
    if (fault !== null) throw this.#notRestored(version, fault)
    return () => {
      this.#state = state
      this.#isUsed = true
    }
  }

  async #restored (values: AsyncGenerator<unknown, void, undefined>, version: number): Promise<unknown> {
    const { restore } = this.#definition
    if (restore !== undefined) {
      const source = { failed: false }
      let state: unknown
      try {
        state = await restore(watched(values, source), version)
      } catch (cause) {
        throw source.failed || isRaftError(cause) ? cause : this.#notRestored(version, messageOf(cause), cause)
      }
      // The snapshot is read to its end, where damage shows, even if restore() stopped early.
      while ((await values.next()).done !== true);
      return state
    }
    if (version < this.version) {
      throw new MachineVersionError(
        `The snapshot has the state machine "${this.name}" in version ${version}; version ${this.version} has no ` +
          'restore() that would know what to do with it.'
      )
    }
    const first = await values.next()
    const second = first.done === true ? first : await values.next()
    if (first.done === true || second.done !== true) {
      throw new MachineVersionError(
        `The snapshot of the state machine "${this.name}" was written by a snapshot() of its own; this node's ` +
          'definition has no restore() that would read it.'
      )
    }
    return first.value
  }

  #applied (result: unknown): MachineApplied<unknown, unknown> {
    if (typeof result === 'object' && result !== null && Object.hasOwn(result, 'state')) {
      return result as MachineApplied<unknown, unknown>
    }
    throw new TypeError(
      result instanceof Promise
        ? 'apply has to be synchronous, and gave a promise'
        : 'apply has to give { state, answer }'
    )
  }

  async * #values (
    values: Iterable<unknown> | AsyncIterable<unknown>
  ): AsyncGenerator<string, void, undefined> {
    try {
      yield * jsonOf(values)
    } catch (cause) {
      throw this.#notCaptured(cause)
    }
  }

  #notCaptured (cause: unknown): Error {
    return new MachineFailedError(
      `The state of the state machine "${this.name}" cannot be written to a snapshot: ${messageOf(cause)}. This node ` +
        'goes on and keeps its log. Start it with a release whose state is JSON, or whose snapshot() does not throw',
      { cause }
    )
  }

  #notRestored (version: number, reason: string, cause?: unknown): Error {
    return new MachineFailedError(
      `restore() of the state machine "${this.name}" failed on the snapshot, which version ${version} wrote: ` +
        `${reason}. The data is as it was: start this node with a release whose restore() reads that snapshot`,
      cause === undefined ? {} : { cause }
    )
  }

  #firstState (): unknown {
    const state = this.#definition.initial()
    const fault = this.#stateFault(state)
    if (fault !== null) throw new TypeError(`the first state of "${this.name}" is no longer JSON: ${fault}`)
    return state
  }

  #stateFault (state: unknown): string | null {
    if (this.#definition.snapshot !== undefined) return null
    const fault = jsonFault(state, { previous: this.#state, freezes: this.#freezes })
    return fault === null ? null : `the state is not JSON: ${fault.message}`
  }
}

function answerFault (answer: unknown): string | null {
  if (answer === undefined) return null
  const fault = jsonFault(answer)
  return fault === null ? null : `the answer is not JSON: ${fault.message}`
}

/** Why a value cannot be the first state of a machine, or null. */
export function initialFault ({ initial, snapshot }: AnyMachineDefinition): string | null {
  return snapshot === undefined ? (jsonFault(initial(), { root: 'initial()' })?.message ?? null) : null
}

function messageOf (cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

/** Passes the values on, and notes when it is their source that failed and not their reader. */
async function * watched (
  values: AsyncIterator<unknown>,
  source: { failed: boolean }
): AsyncGenerator<unknown, void, undefined> {
  for (;;) {
    let next: IteratorResult<unknown>
    try {
      next = await values.next()
    } catch (cause) {
      source.failed = true
      throw cause
    }
    if (next.done === true) return
    yield next.value
  }
}

async function * jsonOf (values: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<string, void, undefined> {
  for await (const value of values) {
    const text = JSON.stringify(value) as string | undefined
    if (text === undefined) throw new TypeError('snapshot() gave a value that is not JSON')
    yield text
  }
}
