import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { BusyError, isRaftError } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import type { ReadConsistency } from './fastify-types.ts'
import { judgeAfterBarrier, readTokenOf } from './read-token.ts'
import type { ForwardContext } from './route-guards.ts'
import { guardForward, refuseUnexecuted } from './route-guards.ts'

/** Limits of {@link ReadGuards}. */
export const readLimits = {
  /** Requests that may wait at once for what they have to see. */
  maxWaitingReads: 2_048
} as const

/** The hook's `done`. */
type Done = (error?: Error) => void

/** The guards of `read` routes: none lets a handler run before this node has what the route promises. */
export class ReadGuards {
  readonly #context: ForwardContext
  readonly #toLeader: onRequestHookHandler
  #waiting = 0

  constructor (context: ForwardContext) {
    this.#context = context
    this.#toLeader = guardForward(context, {})
  }

  /** The guard of one route. To be its last onRequest hook. */
  of (consistency: ReadConsistency): onRequestHookHandler {
    switch (consistency) {
      case 'linearizable': return this.#linearizable
      case 'leader': return this.#leader
      case 'local': return this.#local
    }
  }

  /** ReadIndex (dissertation section 6.4), and then here: it is not the leader that runs the handler. */
  readonly #linearizable: onRequestHookHandler = (request, reply, done) => {
    this.#after(() => this.#barrier(request), request, reply, done)
  }

  /** Here and at once, unless the client has seen more than this node has. */
  readonly #local: onRequestHookHandler = (request, reply, done) => {
    const { engine } = this.#context
    const appliedIndex = engine.appliedIndex()
    const seen = this.#seen(request)
    if (appliedIndex > 0 && seen <= appliedIndex) {
      this.#tellAge(reply)
      this.#pass(reply, done)
      return
    }
    const wait = seen > appliedIndex ? () => this.#barrier(request) : () => this.#restored()
    this.#after(wait, request, reply, (error) => {
      if (error === undefined) this.#tellAge(reply)
      done(error)
    })
  }

  /** A leader has applied every entry that a token can name: only its cluster is looked at. */
  readonly #leader: onRequestHookHandler = (request, reply, done) => {
    try {
      readTokenOf(request, this.#context.engine)
    } catch (error) {
      this.#refuse(error, request, reply, done)
      return
    }
    this.#toLeader.call(request.server, request, reply, done)
  }

  /** The index that the client has seen; more than any node has applied where the token is not of this cluster. */
  #seen (request: FastifyRequest): number {
    try {
      return readTokenOf(request, this.#context.engine)?.index ?? 0
    } catch {
      // Refused with its reason by the wait.
      return Infinity
    }
  }

  async #barrier (request: FastifyRequest): Promise<void> {
    const { engine, waitForLeaderMs } = this.#context
    const token = readTokenOf(request, engine)
    await engine.readBarrier({ timeoutMs: waitForLeaderMs })
    if (token !== null) judgeAfterBarrier(token, engine)
  }

  /** Nothing is applied as long as this node restores its state after a start. */
  async #restored (): Promise<void> {
    const { engine, waitForLeaderMs } = this.#context
    await engine.waitForState({ timeoutMs: waitForLeaderMs })
  }

  #after (wait: () => Promise<void>, request: FastifyRequest, reply: FastifyReply, done: Done): void {
    if (this.#waiting >= readLimits.maxWaitingReads) {
      this.#refuse(new BusyError(`${this.#waiting} reads are waiting`), request, reply, done)
      return
    }
    this.#waiting++
    wait().then(
      () => {
        this.#waiting--
        // Not once the `handlerTimeout` of the route has answered.
        if (!reply.sent) this.#pass(reply, done)
      },
      (error: unknown) => {
        this.#waiting--
        if (!reply.sent) this.#refuse(error, request, reply, done)
      }
    )
  }

  #pass (reply: FastifyReply, done: Done): void {
    reply.header('raft-node', this.#context.cluster.nodeId)
    done()
  }

  /** How far the state is that the handler sees at least, and when this node last had word of the leader. */
  #tellAge (reply: FastifyReply): void {
    const { engine } = this.#context
    reply.header('raft-applied-index', engine.appliedIndex())
    reply.header('raft-last-contact-ms', String(Math.ceil(engine.lastContactMs())))
  }

  #refuse (error: unknown, request: FastifyRequest, reply: FastifyReply, done: Done): void {
    if (isRaftError(error)) refuseUnexecuted(this.#context, request, reply, error as Error & Refusal)
    else done(error as Error)
  }
}
