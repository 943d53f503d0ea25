import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { TooLargeError, UnauthenticatedError } from '../../raft/index.ts'
import type { Verifier } from '../../raft/internal.ts'
import { hashOfBody, nonceField, proofField } from '../../raft/internal.ts'
import { proofOf } from '../routes/proofs.ts'

/**
 * Tells the callers of a scope's routes what proofs for this node are made with, holds the body of a proven call
 * against its proof, and proves the answer.
 */
export function addProofs (scope: FastifyInstance, verifier: Verifier): void {
  scope.addHook('onRequest', (request, reply, done) => {
    const nonce = verifier.tellsNonce(proofOf(request.raw)?.claim.role ?? 'member')
    if (nonce !== null) reply.header(nonceField, nonce)
    done()
  })

  scope.addHook('preParsing', (request, _reply, payload, done) => {
    const proven = proofOf(request.raw)
    if (proven?.claim.bodyHash === undefined) {
      done(null, payload)
      return
    }
    const { bodyHash } = proven.claim
    readAll(payload, request.routeOptions.bodyLimit).then(
      (body) => {
        if (hashOfBody(body) === bodyHash) {
          done(null, Object.assign(Readable.from(body.byteLength === 0 ? [] : [body]), {
            receivedEncodedLength: body.byteLength
          }))
        } else done(new UnauthenticatedError('its body is not the one that was proven'))
      },
      (error: unknown) => { done(error as Error) }
    )
  })

  scope.addHook('onSend', (request, reply, payload, done) => {
    const proven = proofOf(request.raw)
    if (proven !== null && (payload === undefined || payload === null || isBody(payload))) {
      reply.header(proofField, proven.proveAnswer(reply.statusCode, payload ?? ''))
    }
    done(null, payload)
  })
}

function isBody (payload: unknown): payload is string | Buffer {
  return typeof payload === 'string' || Buffer.isBuffer(payload)
}

async function readAll (payload: AsyncIterable<unknown>, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of payload) {
    if (!Buffer.isBuffer(chunk)) throw new UnauthenticatedError('its body cannot be read')
    chunks.push(chunk)
    bytes += chunk.byteLength
    if (bytes > maxBytes) throw new TooLargeError(`The body is larger than ${maxBytes} bytes`)
  }
  return Buffer.concat(chunks)
}
