import { randomBytes } from 'node:crypto'
import type { LeadershipView, NodeId, ProposeResult } from '../core/index.ts'
import type { WaitOptions } from '../engine.ts'
import { BusyError, NoLeaderError, OutcomeUnknownError, TooLargeError } from '../errors.ts'
import type { Timers } from '../runtime/timers.ts'
import { systemTimers } from '../runtime/timers.ts'
import { Waiter } from '../runtime/waiter.ts'
import { encodeEnvelope, nonceBytes } from '../state/command-envelope.ts'
import type { SessionView } from '../state/replicated-state.ts'
import { SequenceWindow } from '../state/sequence-window.ts'
import { sessionLimits } from '../state/session-table.ts'
import type { CommandRefusal } from '../transport/codec.ts'
import { NotSentError } from '../transport/not-sent.ts'
import type { Transport } from '../transport/transport.ts'

/** The node of a {@link ProposalQueue}. */
interface ProposingNode {
  /** The leader that commands go to: this node's log, or a peer. They wait while no leader is known. */
  readonly view: LeadershipView
  /** Appends commands to this node's log, all or nothing. */
  readonly propose: (
    commands: readonly Uint8Array[]
  ) => ProposeResult | { readonly kind: 'refused'; readonly reason: CommandRefusal }
}

/** The node that commands go to now. */
type LeaderTarget =
  { readonly kind: 'self' } | { readonly kind: 'peer'; readonly id: NodeId } | { readonly kind: 'none' }

/** Limits and surroundings of a {@link ProposalQueue}. */
export interface ProposalQueueOptions {
  readonly nodeId: NodeId
  readonly node: ProposingNode
  readonly transport: Pick<Transport, 'forward'>
  /** How long a command waits unless its caller says otherwise. */
  readonly defaultTimeoutMs: number
  /** Most commands that may wait at once, and most bytes of them; more are refused with `RAFT_BUSY`. */
  readonly maxPending: number
  readonly maxPendingBytes: number
  /** A larger command is refused with `RAFT_TOO_LARGE`. */
  readonly maxCommandBytes: number
  /** Most commands, and most bytes of them, that are proposed or forwarded at once. */
  readonly maxBatchCommands: number
  readonly maxBatchBytes: number
  /** Pause before a command that was refused or lost is sent again to the same leader. */
  readonly retryAfterMs: number
  /** How long the cluster remembers this client when it sends nothing, in milliseconds of log time. */
  readonly sessionTtlMs: number
  /** Whether a command may be written although the leader's disk is low on space; none may when left out. */
  readonly usesReserve?: (payload: Uint8Array) => boolean
  /** The event loop and the timers of this process unless given. */
  readonly timers?: Timers
  /** Draws random bytes with which no other session was ever opened; of the system unless given. */
  readonly drawNonce?: (bytes: number) => Uint8Array
}

interface Pending {
  sequence: number
  readonly payload: Uint8Array
  readonly waiter: Waiter<unknown>
  /** `sent`: waits for its entry to be applied here, or for a reason to send it again. */
  state: 'queued' | 'sent'
  /** Whether a leader may have appended it: then only its application decides the outcome. */
  mayBeAppended: boolean
  /** Number of attempts to send it: the answer to an earlier attempt says nothing about a later one. */
  attempts: number
}

/** Refusals that end a command at once, as `RAFT_BUSY` with this text. */
const busyReasons: ReadonlyMap<CommandRefusal, string> = new Map([
  ['busy', 'the leader has too many uncommitted commands'],
  ['low-space', 'the leader\'s disk is low on space']
] as const)

type SessionState =
  | { readonly kind: 'none' }
  | { readonly kind: 'opening', readonly nonce: Uint8Array, sent: boolean }
  | { readonly kind: 'open', readonly id: number }

/**
 * The client side of exactly-once commands: gathers them, sends them to the leader, repeats them while their outcome is
 * open, and resolves them when this node applies them. Every node applies every entry in order, so this queue sees the
 * first application of each command, and the session refuses a repetition (dissertation section 6.3).
 */
export class ProposalQueue {
  readonly #options: ProposalQueueOptions
  readonly #timers: Timers
  readonly #drawNonce: (bytes: number) => Uint8Array
  readonly #pending = new SequenceWindow<Pending>()
  #pendingBytes = 0
  #session: SessionState = { kind: 'none' }
  /** The leader refused commands for want of space: those that may use its reserve are sent apart from the others. */
  #spaceIsLow = false
  #flushIsDue = false
  #cancelRetry: (() => void) | null = null
  #stopReason: Error | null = null

  constructor (options: ProposalQueueOptions) {
    this.#options = options
    this.#timers = options.timers ?? systemTimers
    this.#drawNonce = options.drawNonce ?? randomBytes
  }

  submit (payload: Uint8Array, options: WaitOptions): Promise<unknown> {
    const { defaultTimeoutMs, maxPending, maxPendingBytes, maxCommandBytes } = this.#options
    if (this.#stopReason !== null) return Promise.reject(this.#stopReason)
    if (payload.byteLength > maxCommandBytes) {
      return Promise.reject(
        new TooLargeError(`A command of ${payload.byteLength} bytes is over the limit of ${maxCommandBytes}`)
      )
    }
    if (this.#pending.size >= maxPending || this.#pendingBytes + payload.byteLength > maxPendingBytes) {
      return Promise.reject(new BusyError(`${this.#pending.size} commands are pending`))
    }
    if (this.#pending.next - this.#pending.lowest >= sessionLimits.maxWindow) {
      return Promise.reject(
        new BusyError(`one command is still pending although ${sessionLimits.maxWindow} newer ones have come`)
      )
    }
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs
    const waiter = new Waiter<unknown>(
      { ...options, timeoutMs },
      () => pending.mayBeAppended ? new OutcomeUnknownError(timeoutMs) : new NoLeaderError(timeoutMs),
      () => this.#forget(pending),
      this.#timers
    )
    const pending: Pending = {
      sequence: this.#pending.next,
      payload,
      waiter,
      state: 'queued',
      mayBeAppended: false,
      attempts: 0
    }
    this.#pending.add(pending)
    this.#pendingBytes += payload.byteLength
    this.#flushSoon()
    return waiter.promise
  }

  /** Another leader, another term, or no leader: all commands sent before must be sent again. */
  leaderChanged (): void {
    if (this.#session.kind === 'opening') this.#session.sent = false
    this.#spaceIsLow = false
    for (const pending of this.#pending) pending.state = 'queued'
    this.#flushSoon()
  }

  /** An entry that opens a session was applied. */
  sessionOpened (id: number, nonce: Uint8Array): void {
    if (this.#session.kind !== 'opening' || Buffer.compare(this.#session.nonce, nonce) !== 0) return
    this.#session = { kind: 'open', id }
    this.#flushSoon()
  }

  /** A command of some session was applied; resolves it if it belongs to this queue. */
  applied (session: number, sequence: number, answer: unknown): void {
    if (this.#session.kind === 'open' && this.#session.id === session) {
      this.#pending.get(sequence)?.waiter.resolve(answer)
    }
  }

  /** A command of some session was applied before, and its answer is no longer kept. */
  answerGone (session: number, sequence: number): void {
    if (this.#session.kind !== 'open' || this.#session.id !== session) return
    this.#pending.get(sequence)?.waiter.reject(outcomeGone())
  }

  /** A session was refused as unknown: none of its open commands was or will be applied, so a new one starts. */
  sessionUnknown (session: number): void {
    if (this.#session.kind !== 'open' || this.#session.id !== session) return
    this.#startAnew()
  }

  /**
   * The state was replaced by a snapshot: the entries that it covers are never applied here one by one, so only the
   * session has their outcomes. If the session has ended, the outcome of commands that a leader may have appended is
   * unknown.
   */
  restored (sessions: SessionView): void {
    const session = this.#session
    if (session.kind !== 'open') {
      if (session.kind === 'opening') session.sent = false
      this.#flushSoon()
      return
    }
    let hasEnded = false
    for (const pending of [...this.#pending]) {
      const outcome = sessions.outcomeOf(session.id, pending.sequence)
      if (outcome.kind === 'applied') pending.waiter.resolve(outcome.answer)
      else if (outcome.kind === 'answer-gone') pending.waiter.reject(outcomeGone())
      else if (outcome.kind === 'unknown-session') {
        hasEnded = true
        if (pending.mayBeAppended) pending.waiter.reject(outcomeGone())
      } else pending.state = 'queued'
    }
    if (hasEnded) this.#startAnew()
    else this.#flushSoon()
  }

  stop (reason: Error): void {
    this.#stopReason = reason
    this.#cancelRetry?.()
    for (const pending of [...this.#pending]) {
      pending.waiter.reject(pending.mayBeAppended ? new OutcomeUnknownError(0, { cause: reason }) : reason)
    }
  }

  /** Moves all open commands to a new session. Call it only if the old session has applied none of them. */
  #startAnew (): void {
    this.#session = { kind: 'none' }
    const open = [...this.#pending]
    this.#pending.clear()
    for (const pending of open) {
      pending.sequence = this.#pending.add(pending)
      pending.state = 'queued'
      pending.mayBeAppended = false
    }
    this.#flushSoon()
  }

  #forget (pending: Pending): void {
    this.#pending.delete(pending.sequence)
    this.#pendingBytes -= pending.payload.byteLength
  }

  #flushSoon (): void {
    if (this.#flushIsDue || this.#stopReason !== null) return
    this.#flushIsDue = true
    // After the poll phase: all requests that arrived in this turn share one append.
    this.#timers.soon(() => {
      this.#flushIsDue = false
      this.#flush()
    })
  }

  #retryLater (): void {
    if (this.#cancelRetry !== null || this.#stopReason !== null) return
    this.#cancelRetry = this.#timers.after(this.#options.retryAfterMs, () => {
      this.#cancelRetry = null
      this.#flushSoon()
    })
  }

  #leaderTarget (): LeaderTarget {
    const { nodeId, node: { view: { leader } } } = this.#options
    if (leader === null) return { kind: 'none' }
    return leader === nodeId ? { kind: 'self' } : { kind: 'peer', id: leader }
  }

  #flush (): void {
    const target = this.#leaderTarget()
    if (this.#stopReason !== null || this.#pending.size === 0 || target.kind === 'none') return
    if (this.#session.kind !== 'open') {
      this.#openSession(target)
      return
    }
    if (!this.#spaceIsLow) {
      this.#sendBatches(target, this.#session.id, () => true)
      return
    }
    // Apart in any case: mixed with the others, what was refused just now would be sent again at once, for ever.
    this.#sendBatches(target, this.#session.id, (pending) => this.#usesReserve(pending))
    this.#sendBatches(target, this.#session.id, (pending) => !this.#usesReserve(pending))
  }

  #sendBatches (target: LeaderTarget, session: number, isWanted: (pending: Pending) => boolean): void {
    for (let batch = this.#takeBatch(isWanted); batch.length > 0; batch = this.#takeBatch(isWanted)) {
      if (!this.#send(target, batch, session)) return
    }
  }

  #usesReserve ({ payload }: Pending): boolean {
    return this.#options.usesReserve?.(payload) ?? false
  }

  /** The leader took these commands. */
  #accepted (batch: readonly Pending[]): void {
    if (this.#spaceIsLow && batch.some((pending) => !this.#usesReserve(pending))) this.#spaceIsLow = false
  }

  #openSession (target: LeaderTarget): void {
    const session = this.#session.kind === 'opening'
      ? this.#session
      : { kind: 'opening' as const, nonce: this.#drawNonce(nonceBytes), sent: false }
    this.#session = session
    if (session.sent) return
    session.sent = true
    const refused = (reason: CommandRefusal) => {
      session.sent = false
      this.#refused([...this.#pending], reason)
    }
    const command = encodeEnvelope({ kind: 'open', nonce: session.nonce, ttlMs: this.#options.sessionTtlMs })
    if (target.kind === 'self') {
      const result = this.#options.node.propose([command])
      if (result.kind === 'refused') refused(result.reason)
    } else if (target.kind === 'peer') {
      this.#options.transport.forward(target.id, [command]).then(
        (answer) => { if (answer.kind === 'refused') refused(answer.reason) },
        () => refused('not-leader')
      )
    }
  }

  #takeBatch (isWanted: (pending: Pending) => boolean): readonly Pending[] {
    const { maxBatchCommands, maxBatchBytes } = this.#options
    const batch: Pending[] = []
    let bytes = 0
    for (const pending of this.#pending) {
      if (pending.state !== 'queued' || !isWanted(pending)) continue
      bytes += pending.payload.byteLength
      if (batch.length > 0 && (batch.length >= maxBatchCommands || bytes > maxBatchBytes)) break
      batch.push(pending)
    }
    return batch
  }

  /** Returns false when no more can be sent now. */
  #send (target: LeaderTarget, batch: readonly Pending[], session: number): boolean {
    const { lowest: lowestOpen } = this.#pending
    const commands = batch.map(({ sequence, payload }) =>
      encodeEnvelope({ kind: 'command', session, sequence, lowestOpen, payload }))
    if (target.kind === 'none') return false
    if (target.kind === 'self') {
      const result = this.#options.node.propose(commands)
      if (result.kind === 'refused') {
        this.#refused(batch, result.reason)
        return false
      }
      for (const pending of batch) {
        pending.attempts++
        pending.state = 'sent'
        pending.mayBeAppended = true
      }
      this.#accepted(batch)
      return true
    }
    this.#forward(target.id, batch, commands)
    return true
  }

  #forward (leader: NodeId, batch: readonly Pending[], commands: readonly Uint8Array[]): void {
    const attempts = batch.map((pending) => {
      const attempt = { pending, number: ++pending.attempts, wasInDoubt: pending.mayBeAppended }
      pending.state = 'sent'
      pending.mayBeAppended = true
      return attempt
    })
    const failed = (isSurelyNotAppended: boolean, reason: CommandRefusal) => {
      const current = attempts.filter(({ pending, number }) => pending.attempts === number)
      if (isSurelyNotAppended) for (const { pending, wasInDoubt } of current) pending.mayBeAppended = wasInDoubt
      this.#refused(current.map(({ pending }) => pending), reason)
    }
    this.#options.transport.forward(leader, commands).then((answer) => {
      if (answer.kind === 'refused') failed(true, answer.reason)
      else this.#accepted(batch)
    }, (cause: unknown) => failed(cause instanceof NotSentError, 'not-leader'))
  }

  #refused (batch: readonly Pending[], reason: CommandRefusal): void {
    if (reason === 'low-space') this.#spaceIsLow = true
    // A leader refuses a batch as a whole: what may use its reserve is sent again without the others.
    const isMixed = reason === 'low-space' && batch.some((pending) => !this.#usesReserve(pending))
    let isSentAgain = false
    for (const pending of batch) {
      if (pending.waiter.settled) continue
      pending.state = 'queued'
      if (isMixed && this.#usesReserve(pending)) {
        isSentAgain = true
        continue
      }
      const busy = busyReasons.get(reason)
      if (busy !== undefined && !pending.mayBeAppended) pending.waiter.reject(new BusyError(busy))
    }
    if (isSentAgain) this.#flushSoon()
    else this.#retryLater()
  }
}

function outcomeGone (): Error {
  return new OutcomeUnknownError(0)
}
