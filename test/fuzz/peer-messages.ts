import { crc32 } from 'node:zlib'
import { ClusterStateMachine } from '../../src/plugin/replicated/cluster-state-machine.ts'
import type { Entry, Message } from '../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm, stableConfiguration } from '../../src/raft/core/index.ts'
import { encodeConfiguration } from '../../src/raft/runtime/entry-codec.ts'
import { encodeEnvelope } from '../../src/raft/state/command-envelope.ts'
import { ReplicatedState } from '../../src/raft/state/replicated-state.ts'
import type { Address } from '../../src/raft/transport/codec.ts'
import {
  decodeCommands,
  decodeMessages,
  decodeUrls,
  encodeCommands,
  encodeMessages,
  encodeUrls
} from '../../src/raft/transport/codec.ts'
import { lanePaths } from '../../src/raft/transport/http-peer.ts'
import { decodeSnapshotChunk, encodeSnapshotChunk } from '../../src/raft/transport/snapshot-codec.ts'
import type { SimRandom } from '../sim/random.ts'
import { damagedMessage, wholeOf } from './bytes.ts'
import type { PeerRole } from './peer-node.ts'
import { addressFrom, base, commandOf, configurationOfRole, incarnationOf, openSession } from './peer-node.ts'
import { edgeCount, noise, strangeText } from './values.ts'

/** The lanes of peers, by what they take. */
export type Lane = keyof typeof lanePaths
export const lanes = Object.keys(lanePaths) as readonly Lane[]

const decoders: Record<Lane, (body: Uint8Array) => unknown> = {
  control: decodeMessages,
  append: decodeMessages,
  propose: decodeCommands,
  snapshot: decodeSnapshotChunk,
  urls: decodeUrls,
  notes: decodeCommands
}

/** The state that a valid snapshot has. */
const emptyState = await wholeOf(new ReplicatedState(new ClusterStateMachine(), {
  applied: () => {},
  answerGone: () => {},
  sessionOpened: () => {},
  sessionUnknown: () => {},
  restored: () => {}
}).snapshot())

/** A count that fits what the node under test has, nearly always. */
function near (random: SimRandom, value: number): number {
  return random.chance(0.85) ? value : edgeCount(random, value)
}

/** The wire takes counts up to 2^48; past that the writer refuses, and fields are changed behind it. */
function writable (value: number): number {
  return Math.min(value, 2 ** 53 - 1)
}

function address (random: SimRandom): Address {
  const from = random.chance(0.8) ? 'n2' : random.pick(['n2', 'n3', 'n4', 'n1'])
  const right = addressFrom(from)
  if (random.chance(0.8)) return right
  switch (random.between(0, 5)) {
    case 0: return { ...right, clusterId: strangeText(random) }
    case 1: return { ...right, to: asNodeId(random.pick(['n2', 'n3', strangeText(random)])) }
    case 2: return { ...right, from: asNodeId(strangeText(random)) }
    case 3: return { ...right, incarnation: random.pick(['', incarnationOf('n3'), 'f'.repeat(16), strangeText(random)]) }
    case 4: return { ...right, expectedIncarnation: random.pick(['', incarnationOf('n2'), strangeText(random)]) }
    default: {
      const uuid = random.chance(0.5) ? right.cluster?.uuid ?? '' : strangeText(random) || 'x'
      return { ...right, cluster: random.chance(0.3) ? undefined : { uuid, isCommitted: random.chance(0.5) } }
    }
  }
}

function command (random: SimRandom): Uint8Array {
  switch (random.between(0, 6)) {
    case 0: return openSession
    case 1: return encodeEnvelope({ kind: 'checkpoint', index: near(random, base.commit), hash: new Uint8Array(32).fill(1) })
    case 2: return encodeEnvelope({ kind: 'clock', wallMs: near(random, 1_700_000_000_000) })
    case 3: {
      const payload = random.chance(0.5) ? noise(random) : Buffer.from(`{"kind":"map-set","map":"kv","key":${JSON.stringify(strangeText(random))}}`)
      return encodeEnvelope({
        kind: 'command', session: near(random, 3), sequence: near(random, 4), lowestOpen: near(random, 1), payload
      })
    }
    default: return commandOf(near(random, 4), random.pick(['a', 'b', strangeText(random)]), random.between(0, 9))
  }
}

function entries (random: SimRandom, role: PeerRole, prevIndex: number): Entry[] {
  return Array.from({ length: random.pick([0, 1, 1, 2, 3]) }, (_, at): Entry => {
    const index = asIndex(writable(near(random, prevIndex + 1 + at)))
    const head = { index, term: asTerm(near(random, base.term)), timeMs: near(random, 10_000) }
    const kind = random.pick(['noop', 'command', 'command', 'configuration'] as const)
    if (kind === 'noop') return { ...head, kind }
    if (kind === 'command') return { ...head, kind, data: command(random) }
    const ids = ['n1', 'n2', random.pick(['n3', 'n4', '__proto__', 'constructor'])].map(asNodeId)
    const configuration = random.chance(0.5)
      ? configurationOfRole(role)
      : stableConfiguration(ids.map((id) => ({ id, address: 'http://127.0.0.1:9' })))
    return { ...head, kind, configuration }
  })
}

function message (random: SimRandom, role: PeerRole, { from, to, cluster }: Address): Message {
  const term = asTerm(writable(near(random, base.term + random.pick(role === 'leader' ? [1, 1, 0, 2] : [0, 0, 0, 1, -1]))))
  const head = { from, to, term, ...(cluster === undefined ? {} : { cluster }) }
  const index = (value: number): Entry['index'] => asIndex(writable(near(random, value)))
  switch (random.between(0, 11)) {
    case 0: return { ...head, kind: 'pre-vote-request', lastIndex: index(base.lastIndex), lastTerm: asTerm(near(random, base.term)) }
    case 1: return {
      ...head,
      kind: 'vote-request',
      lastIndex: index(base.lastIndex),
      lastTerm: asTerm(near(random, base.term)),
      isTransfer: random.chance(0.5)
    }
    case 2: return { ...head, kind: 'pre-vote-response', granted: random.chance(0.5) }
    case 3: return { ...head, kind: 'vote-response', granted: random.chance(0.5) }
    case 4: return {
      ...head,
      kind: 'append-response',
      prevIndex: index(base.lastIndex),
      result: random.chance(0.5)
        ? { kind: 'accepted', matchIndex: index(base.lastIndex) }
        : { kind: 'rejected', hintIndex: index(base.commit), hintTerm: asTerm(near(random, base.term)) }
    }
    case 5: return { ...head, kind: 'heartbeat-response', round: near(random, 1) }
    case 6: return { ...head, kind: 'read-request', context: near(random, 1) }
    case 7: return { ...head, kind: 'read-response', context: near(random, 1), index: index(base.commit) }
    case 8: return { ...head, kind: random.chance(0.3) ? 'timeout-now' : 'heartbeat-request', commit: index(base.commit), round: near(random, 1) }
    case 9: return { ...head, kind: 'heartbeat-request', commit: index(base.commit), round: near(random, 2) }
    default: {
      const prevIndex = near(random, random.pick([base.lastIndex, base.lastIndex, base.commit]))
      return {
        ...head,
        kind: 'append-request',
        prevIndex: asIndex(writable(prevIndex)),
        prevTerm: asTerm(near(random, base.term)),
        commit: index(base.commit),
        entries: entries(random, role, prevIndex)
      }
    }
  }
}

function snapshotChunk (random: SimRandom, role: PeerRole, from: Address): Uint8Array {
  const data = random.chance(0.7) ? emptyState : Buffer.from(noise(random))
  const configuration = Buffer.from(encodeConfiguration(configurationOfRole(role))).toString('latin1')
  const offset = random.chance(0.7) ? 0 : near(random, data.byteLength)
  return encodeSnapshotChunk(from, {
    term: asTerm(near(random, base.term)),
    info: {
      index: asIndex(writable(near(random, base.lastIndex + 4))),
      term: asTerm(near(random, base.term)),
      timeMs: near(random, 20_000),
      bytes: near(random, data.byteLength),
      checksum: random.chance(0.9) ? crc32(data) : edgeCount(random),
      configuration: Buffer.from(random.chance(0.9) ? `{"index":2,"configuration":${configuration}}` : strangeText(random))
    },
    offset: writable(offset),
    bytes: random.chance(0.1) ? new Uint8Array(0) : data.subarray(Math.min(offset, data.byteLength))
  })
}

/** A broadcast as another node sends it, or nearly. */
function broadcastNote (random: SimRandom): Uint8Array {
  const fields: unknown[] = [random.pick(['a1', strangeText(random)]), near(random, random.between(1, 4))]
  if (random.chance(0.7)) fields.push(random.pick(['prices', strangeText(random)]))
  if (random.chance(0.7)) fields.push(random.pick(['{"a":1}', '{', 'null', strangeText(random)]))
  return random.chance(0.9) ? Buffer.from(JSON.stringify(fields)) : noise(random)
}

function validBody (random: SimRandom, lane: Lane, role: PeerRole): Uint8Array {
  const from = address(random)
  switch (lane) {
    case 'control':
    case 'append': {
      const messages = Array.from({ length: random.pick([0, 1, 1, 1, 2, 3]) }, () => message(random, role, from))
      return encodeMessages(from, messages, random.chance(0.2) ? new Uint8Array(32).fill(9) : undefined)
    }
    case 'propose':
      return encodeCommands(from, Array.from({ length: random.pick([0, 1, 1, 2]) }, () => command(random)))
    case 'snapshot': return snapshotChunk(random, role, from)
    case 'urls': {
      const ids = Array.from({ length: random.pick([0, 1, 2, 40]) }, () => random.pick(['n1', 'n2', 'n3', strangeText(random)]))
      const url = (): string => random.pick(['http://127.0.0.1:9', 'http://127.0.0.1:9/x', 'file:///etc/passwd', strangeText(random)])
      return encodeUrls(from, ids.map((id) => ({ id, url: url() })))
    }
    case 'notes':
      return encodeCommands(from, Array.from({ length: random.pick([0, 1, 1, 3]) }, () => broadcastNote(random)))
  }
}

/** The body of a message for a lane: as a member sends it, with a few wrong values, or damaged. */
export function laneBody (random: SimRandom, lane: Lane, role: PeerRole): Uint8Array {
  const body = validBody(random, lane, role)
  if (random.chance(0.35)) return Uint8Array.from(body)
  const otherLane = random.pick(lanes)
  return Uint8Array.from(damagedMessage(random, body, decoders[lane], {
    body: validBody(random, otherLane, role),
    decode: decoders[otherLane]
  }))
}
