import type { IncomingHttpHeaders } from 'node:http'
import type { KnownNonces, Prover } from '../../raft/internal.ts'
import { hashOfBody, Nonce, nonceField, proofField } from '../../raft/internal.ts'

/** Who proves its calls, and what it knows of the nodes that it calls. */
interface ProvingCaller {
  readonly prover: Prover
  /** What the nodes have told, by URL. */
  readonly nonces: KnownNonces
}

/** A call as it is sent. */
interface SentCall {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly body: string | null
  /** UUID of the cluster that it is meant for; empty where that is not said. */
  readonly cluster: string
}

/** What is looked at of an answer. */
interface CallAnswer {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/**
 * Makes a call with a proof of who calls, where there is something to prove with. A node that was started anew, or was
 * not known before, refuses the call before it does anything, and tells its nonce: the call is sent once more then.
 *
 * Resolves with the answer, and whether it is proven to come from a node with the same secret; true where nothing can
 * be. Rejects as `send` does, which is given the lines of the proof: names and values in turn.
 */
export async function callWithProof<Answer extends CallAnswer> (
  { prover, nonces }: ProvingCaller,
  url: string,
  { method, path, body, cluster }: SentCall,
  send: (proofLines: readonly string[]) => Promise<Answer>
): Promise<{ readonly answer: Answer, readonly isProven: boolean }> {
  const parts = { method, target: path, hop: '', attempt: '', cluster }
  const bodyHash = hashOfBody(body ?? '')
  for (let isSecond = false; ; isSecond = true) {
    const used = nonces.of(url)
    const proof = prover.prove(used, parts, { id: prover.nextId(), bodyHash })
    const answer = await send(proof === null ? [] : [proofField, proof.field])
    const { statusCode, headers, text } = answer
    if (proof?.isAnswered(headers[proofField], statusCode, text) !== false) return { answer, isProven: true }
    const nonce = Nonce.parse(headers[nonceField])
    if (nonce !== null) nonces.learn(url, nonce)
    const isTold = nonce !== null && used?.equals(nonce) !== true
    if (statusCode !== 401 || isSecond || !isTold) return { answer, isProven: false }
  }
}
