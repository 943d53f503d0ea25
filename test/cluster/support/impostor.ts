import { randomBytes } from 'node:crypto'
import { Pool } from 'undici'
import type { Message } from '../../../src/raft/core/index.ts'
import { asNodeId } from '../../../src/raft/core/index.ts'
import { encodeEnvelope } from '../../../src/raft/state/command-envelope.ts'
import type { Address } from '../../../src/raft/transport/codec.ts'
import { encodeCommands, encodeMessages } from '../../../src/raft/transport/codec.ts'
import { AuthenticatedChannel, openChannel } from '../../../src/raft/transport/peer-channel.ts'
import type { SmallAnswer } from '../../../src/raft/transport/small-request.ts'
import { OutgoingSession } from '../../../src/raft/trust/outgoing-session.ts'
import type { Secret } from '../../../src/raft/trust/secret.ts'
import { readSecret } from '../../../src/raft/trust/secret.ts'
import { codeOf } from './interceptor.ts'
import type { NotesCluster, NotesCopy } from './notes-cluster.ts'

const timeoutMs = 5_000
const maxAnswerBytes = 65_536

/** Who somebody says to be, and what they know. */
export interface Impostor {
  readonly from: string
  /** Null: none. */
  readonly secret: string | null
  readonly clusterId?: string
}

/** A refusal of a peer, or how its connection ended. */
export interface PeerVerdict {
  readonly statusCode: number
  readonly code: string
}

/** A path below that of the peers. */
export type PeerPath = 'hello' | 'control' | 'append' | 'propose' | 'snapshot' | 'urls'

/** Somebody who speaks to a node as its peers do, as well as they can. */
export class PeerVoice {
  readonly #pool: Pool
  readonly #channel: AuthenticatedChannel | typeof openChannel

  constructor (target: NotesCopy, { from, secret, clusterId = 'default' }: Impostor) {
    this.#pool = new Pool(target.url, { connections: 4 })
    if (secret === null) {
      this.#channel = openChannel
      return
    }
    const secrets = { current: [parsed(secret)] }
    this.#channel = new AuthenticatedChannel({
      session: new OutgoingSession({ clusterId, from: asNodeId(from), to: asNodeId(target.id) }, secrets),
      secrets,
      nodeId: from,
      peerId: target.id,
      helloPath: pathOf('hello'),
      helloTimeoutMs: timeoutMs
    })
  }

  /** Rejects when no answer came, as nodes see it. */
  async send (path: PeerPath, body: Buffer): Promise<PeerVerdict> {
    const answer = await new Promise<SmallAnswer>((resolve, reject) => {
      this.#channel.send(this.#pool, {
        path: pathOf(path),
        body,
        timeoutMs,
        maxAnswerBytes,
        answered: resolve,
        failed: reject
      })
    })
    return { statusCode: answer.statusCode, code: codeOf(answer) }
  }

  async close (): Promise<void> {
    await this.#pool.destroy()
  }
}

export function pathOf (path: PeerPath): string {
  return `/_cluster/raft/${path}`
}

export function parsed (secret: string): Secret {
  const reading = readSecret(secret)
  if (reading.kind === 'fault') throw new Error(reading.message)
  return reading.secret
}

/** The address of a message that names everything right. */
export async function addressOf (cluster: NotesCluster, from: string, to: NotesCopy): Promise<Address> {
  const { clusterId, clusterUuid, members } = await cluster.members(to)
  const incarnationOf = (id: string): string => members.find((member) => member.id === id)?.incarnation ?? 'unknown'
  return {
    clusterId,
    from: asNodeId(from),
    to: asNodeId(to.id),
    incarnation: incarnationOf(from),
    expectedIncarnation: incarnationOf(to.id),
    ...(clusterUuid === null ? {} : { cluster: { uuid: clusterUuid, isCommitted: true } })
  }
}

/** A message without its sender, its receiver and its cluster. */
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
export type Speech = DistributiveOmit<Message, 'from' | 'to' | 'cluster'>

/** The body that carries one message between two nodes. */
export function bodyOf (address: Address, speech: Speech): Buffer {
  return encodeMessages(address, [{ ...speech, from: address.from, to: address.to }])
}

/**
 * Proposes commands as a member does, in a session of its own: they are appended, and applied by every node. Which of
 * the entries appended meanwhile opened the session is not known here, so that each command names all of those.
 */
export async function proposeAs (
  cluster: NotesCluster,
  voice: PeerVoice,
  address: Address,
  { leader, payloads }: { readonly leader: NotesCopy, readonly payloads: readonly Uint8Array[] }
): Promise<void> {
  const lastIndex = async (): Promise<number> => (await cluster.status(leader))?.lastIndex ?? 0
  const propose = async (commands: readonly Uint8Array[]): Promise<void> => {
    const verdict = await voice.send('propose', encodeCommands(address, commands))
    if (verdict.statusCode !== 200) throw new Error(`not appended: ${JSON.stringify(verdict)}`)
  }
  const before = await lastIndex()
  await propose([encodeEnvelope({ kind: 'open', nonce: randomBytes(16), ttlMs: 10_000 })])
  const after = await lastIndex()
  for (const [number, payload] of payloads.entries()) {
    const sequence = number + 1
    await propose(Array.from({ length: after - before }, (_, at) =>
      encodeEnvelope({ kind: 'command', session: before + 1 + at, sequence, lowestOpen: 1, payload })))
  }
}
