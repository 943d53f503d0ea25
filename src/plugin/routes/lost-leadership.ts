import type { onSendHookHandler, RouteHandlerMethod } from 'fastify'
import { confirmsLeadership } from '../cluster/confirm.ts'
import { withhold } from './answers.ts'
import type { OnLostLeadership } from './fastify-types.ts'
import { RequestNotes } from './request-notes.ts'
import type { ForwardContext } from './route-guards.ts'

/** Field of an answer whose handler outlived its leadership: the fencing token of that leadership. */
const lostHeader = 'raft-leadership-lost'

/**
 * Handlers that outlive the leadership they began under. Their work was done, in part or in whole, while another node
 * may have led: what they did through `app.cluster` is right all the same, for the log decides about it, and what they
 * did outside is not known to be.
 */
export class LostLeaderships {
  readonly #context: ForwardContext
  /** Token of the leadership under which the handler of a request began. */
  readonly #began = new RequestNotes<number>('leadership')

  constructor (context: ForwardContext) {
    this.#context = context
  }

  /** Notes under which leadership a handler begins. To be called by the guard that has just looked. */
  noted (handler: RouteHandlerMethod): RouteHandlerMethod {
    const { engine } = this.#context
    const began = this.#began
    return function (request, reply) {
      const leadership = engine.currentLeadership()
      if (leadership !== null) began.set(request.raw, leadership.token)
      return handler.call(this, request, reply)
    }
  }

  /** Marks or replaces an answer whose handler began under a leadership that is over. */
  judging (onLost: OnLostLeadership): onSendHookHandler {
    const { engine, cluster, waitForLeaderMs: timeoutMs } = this.#context
    return (request, reply, payload, done) => {
      const token = this.#began.of(request.raw)
      if (token === undefined || engine.currentLeadership()?.token === token) {
        done(null, payload)
        return
      }
      confirmsLeadership(engine, token, { timeoutMs }).then((isConfirmed) => {
        if (isConfirmed) {
          done(null, payload)
          return
        }
        reply.header(lostHeader, token)
        // An error says already that it did not work, and with a code of ours why.
        done(null, onLost === 'mark' || reply.statusCode >= 500 ? payload : withhold(reply, cluster, payload))
      }, done)
    }
  }
}
