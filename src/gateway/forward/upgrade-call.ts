import type { IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import type { SentProof } from '../../raft/internal.ts'
import { Nonce, nonceField } from '../../raft/internal.ts'
import { fieldValue } from './header-rules.ts'
import type { Attempt } from './hop.ts'
import { judgeNotExecuted, notExecutedHeader } from './hop.ts'
import type { FailedOutcome } from './judgement.ts'

/** How an attempt to upgrade ended. */
export type UpgradeOutcome =
  /** The node switched protocols: what comes on the connection from here on, `head` first, is of the other one. */
  | { readonly kind: 'switched', readonly answer: IncomingMessage, readonly socket: Duplex, readonly head: Buffer }
  /** The node answered in HTTP. */
  | { readonly kind: 'answered', readonly answer: IncomingMessage }
  | FailedOutcome

/** Header fields of an answer may take this much, as for other requests. */
const maxHeaderSize = 65_536

/** A request to switch protocols, as it is sent. */
interface UpgradeRequest {
  readonly path: string
  /** Names and values in turn. */
  readonly headers: readonly string[]
  readonly attempt: Attempt
  readonly proof: SentProof | null
  /** Opens the connection that it is sent on, and that is its own. */
  readonly connect: (done: (error: Error | null, socket: Duplex) => void) => void
}

/**
 * Asks a node to switch protocols (RFC 9110 section 7.8). undici would do it as well, but hands fields over as an
 * object, and says of a refusal only its status. Aborting the signal ends the attempt, as lost if it was sent.
 */
export async function callUpgrade (
  { path, headers, attempt, proof, connect }: UpgradeRequest,
  signal: AbortSignal
): Promise<UpgradeOutcome> {
  return await new Promise((resolve) => {
    let isSent = false
    const call = httpRequest({
      method: 'GET',
      path,
      headers: [...headers],
      setHost: false,
      maxHeaderSize,
      createConnection: (_options, done) => {
        connect(done)
        return undefined
      }
    })
    const giveUp = (): void => { call.destroy(new Error('the attempt is over')) }
    const end = (outcome: UpgradeOutcome): void => {
      signal.removeEventListener('abort', giveUp)
      resolve(outcome)
    }
    call.once('socket', () => { isSent = true })
    call.once('upgrade', (answer, socket, head) => { end({ kind: 'switched', answer, socket, head }) })
    call.once('response', (answer) => { end(judgeAnswer(answer, attempt, proof)) })
    call.on('error', (cause) => {
      end({ kind: isSent ? 'lost' : 'not-sent', cause, timedOut: signal.aborted })
    })
    if (signal.aborted) giveUp()
    else signal.addEventListener('abort', giveUp, { once: true })
    call.end()
  })
}

function judgeAnswer (answer: IncomingMessage, attempt: Attempt, proof: SentProof | null): UpgradeOutcome {
  const { statusCode = 0, rawHeaders } = answer
  const judgement = judgeNotExecuted(statusCode, fieldValue(rawHeaders, notExecutedHeader), attempt, proof)
  if (judgement === 'other') return { kind: 'answered', answer }
  // Nobody needs the rest: the connection is of this attempt alone.
  answer.destroy()
  return judgement === 'not-executed'
    ? { kind: 'not-executed', nonce: Nonce.parse(fieldValue(rawHeaders, nonceField)) }
    : { kind: 'lost', cause: new Error('a refusal that is not proven'), timedOut: false }
}
