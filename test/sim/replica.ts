import type { Answer } from '../../src/plugin/replicated/answer.ts'
import { ClusterStateMachine } from '../../src/plugin/replicated/cluster-state-machine.ts'
import type { Command } from '../../src/plugin/replicated/command.ts'
import { decodeCommand } from '../../src/plugin/replicated/command.ts'
import type { Entry, NodeId } from '../../src/raft/core/index.ts'
import type { SessionListener } from '../../src/raft/state/replicated-state.ts'
import { ReplicatedState } from '../../src/raft/state/replicated-state.ts'
import type { ApplyContext } from '../../src/raft/state/state-machine.ts'
import type { ReplicaChecker } from './replica-checker.ts'

/** The production code of the replicated state, or deliberately broken copies of it. */
export interface StateCode {
  readonly ReplicatedState: typeof ReplicatedState
  readonly ClusterStateMachine: typeof ClusterStateMachine
}

const productionState: StateCode = { ReplicatedState, ClusterStateMachine }

/** The observer of one node's applied entries. */
export interface ReplicaHost {
  readonly id: NodeId
  readonly checker: ReplicaChecker
  /** Production code unless given. */
  readonly code: StateCode | undefined
  readonly wallMs: () => number
  readonly listener: SessionListener
  /** A command has been applied, and not answered from memory. */
  readonly observe: (machine: ClusterStateMachine, command: Command, answer: Answer, index: number) => void
  /** Everything through this index has been applied. */
  readonly advanced: () => void
}

/** The clock that a mutant reads on its node. */
const localClock = globalThis as { simulatedWallMs?: () => number }

async function collect (source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function * oneByOne (bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  // eslint-disable-next-line @typescript-eslint/await-thenable -- a source that answers within one call hides mistakes
  yield await bytes
}

/**
 * The replicated state on one node, from one start of it to its end: production code, fed with what the core commits.
 */
export class Replica {
  readonly machine: ClusterStateMachine
  readonly #host: ReplicaHost
  readonly #state: ReplicatedState
  /** Entries that wait for a snapshot to be restored; null while there is none. */
  #waiting: Entry[] | null = null
  #applied = 0
  /** What the entry being applied came to, as far as it is the same on all nodes. */
  #outcome = ''

  constructor (host: ReplicaHost) {
    this.#host = host
    const { listener, code = productionState } = host
    const machine = new code.ClusterStateMachine()
    this.machine = machine
    let isNews = false
    this.#state = new code.ReplicatedState({
      apply: (command, context) => {
        isNews = true
        const answer = machine.apply(command, context)
        this.#observe(command, context, answer)
        return answer
      },
      leadershipStarted: (context) => { machine.leadershipStarted(context) },
      snapshot: () => machine.snapshot(),
      restore: (source) => machine.restore(source)
    }, {
      sessionOpened: (id, nonce) => {
        this.#outcome = `opened ${id}`
        listener.sessionOpened(id, nonce)
      },
      applied: (session, sequence, answer) => {
        this.#outcome = `${isNews ? 'applied' : 'repeated'} ${JSON.stringify(answer)}`
        if (isNews) host.checker.applied(session, sequence, this.#applied + 1, answer as Answer)
        isNews = false
        listener.applied(session, sequence, answer)
      },
      answerGone: (session, sequence) => {
        this.#outcome = `gone ${session}:${sequence}`
        listener.answerGone(session, sequence)
      },
      sessionUnknown: (session) => {
        this.#outcome = `unknown ${session}`
        listener.sessionUnknown(session)
      },
      restored: (sessions) => { listener.restored(sessions) }
    })
  }

  get appliedIndex (): number { return this.#applied }

  apply (entries: readonly Entry[]): void {
    if (this.#waiting !== null) {
      this.#waiting.push(...entries)
      return
    }
    for (const entry of entries) this.#applyOne(entry)
    if (entries.length > 0) this.#host.advanced()
  }

  #observe (bytes: Uint8Array, context: ApplyContext, answer: Answer): void {
    const command = decodeCommand(bytes)
    if (command.kind === 'refused') return
    this.#checkKey(command, context, answer)
    this.#host.observe(this.machine, command, answer, context.index)
  }

  /** An answer that tells of this very entry: the command was executed here, and not answered from memory. */
  #checkKey (command: Command, { index, term }: ApplyContext, answer: Answer): void {
    if (answer.kind !== 'written' && answer.kind !== 'deleted') return
    if (answer.revision !== index || (command.kind !== 'map-set' && command.kind !== 'map-delete')) return
    const { map, once } = command
    if (once !== undefined) this.#host.checker.executed(`${once.origin} ${map} ${once.key}`, index, term)
  }

  #applyOne (entry: Entry): void {
    const { checker, id, wallMs } = this.#host
    this.#outcome = ''
    localClock.simulatedWallMs = wallMs
    this.#state.apply(entry)
    this.#applied = entry.index
    checker.reached(id, entry.index, this.#outcome, () => JSON.stringify(this.machine))
  }

  /** The state at this moment, as bytes. */
  async snapshot (): Promise<Uint8Array> {
    const index = this.#applied
    const bytes = await collect(this.#state.snapshot())
    this.#host.checker.snapshotTaken(this.#host.id, index, bytes)
    return bytes
  }

  /** Puts a snapshot in the place of the state; what is committed meanwhile waits. */
  async restore (bytes: Promise<Uint8Array>, index: number): Promise<void> {
    this.#waiting ??= []
    await this.#state.restore(oneByOne(await bytes))
    this.#applied = index
    const entries = this.#waiting.filter((entry) => entry.index > index)
    this.#waiting = null
    this.apply(entries)
    this.#host.advanced()
  }
}
