import { isRaftError } from '../../../src/raft/errors.ts'
import type { Secrets } from '../../../src/raft/index.ts'
import { decodeEnvelope } from '../../../src/raft/state/command-envelope.ts'
import { decodeCommands, decodeMessages } from '../../../src/raft/transport/codec.ts'
import { lanePaths } from '../../../src/raft/transport/http-peer.ts'
import { sealField } from '../../../src/raft/trust/seal-field.ts'
import type { SimRandom } from '../../sim/random.ts'
import { fuzzSecret } from '../fuzz-secrets.ts'
import type { HttpInput } from '../http-client.ts'
import { anyField, anyFraming, codeOf, wireText } from '../http-client.ts'
import { laneBody, lanes } from '../peer-messages.ts'
import type { PeerRole } from '../peer-node.ts'
import { base, basePath, peerContentType, PeerNode } from '../peer-node.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refused } from '../target.ts'
import { turn } from '../turns.ts'
import type { TextEdit } from '../values.ts'
import { editText, textEdit } from '../values.ts'

/** How a request is sealed: rightly, not at all, or wrongly in one way. */
type Seal = 'right' | 'none' | 'of another lane' | 'of another body' | 'twice' | { readonly edits: readonly TextEdit[] }

/** A request of a peer to a node. */
export interface PeerInput extends HttpInput {
  readonly role: PeerRole
  readonly seal: Seal
}

function makeInput (random: SimRandom, isSealed: boolean): PeerInput {
  const role = random.chance(0.65) ? 'follower' : 'leader'
  const lane = random.pick(lanes)
  const path = basePath + lanePaths[lane]
  const isPlain = random.chance(0.93)
  const oddPaths = [`${path}/`, `${path}?x`, `${basePath}/nowhere`, `${basePath}/${lane}%2f`]
  const contentType = isPlain ? peerContentType : random.pick(['application/json', `${peerContentType}; charset=x`, ''])
  return {
    role,
    method: isPlain || random.chance(0.8) ? 'POST' : random.pick(['GET', 'PUT', 'OPTIONS', 'HEAD', 'DELETE', 'TRACE']),
    path: isPlain || random.chance(0.6) ? path : random.pick(oddPaths),
    fields: [['content-type', contentType], ...(isPlain ? [] : [anyField(random)])],
    body: laneBody(random, lane, role),
    framing: isPlain ? 'length' : anyFraming(random),
    seal: isSealed ? makeSeal(random) : 'none'
  }
}

function makeSeal (random: SimRandom): Seal {
  if (random.chance(0.75)) return 'right'
  const kind = random.pick(['none', 'of another lane', 'of another body', 'twice', 'edits', 'edits'] as const)
  return kind === 'edits' ? { edits: Array.from({ length: random.between(1, 2) }, () => textEdit(random)) } : kind
}

class FuzzedPeers implements Fuzzed<PeerInput> {
  readonly #isSealed: boolean
  readonly #nodes: Readonly<Record<PeerRole, PeerNode>>
  readonly #signatures: Record<PeerRole, string> = { follower: '', leader: '' }

  constructor (isSealed: boolean) {
    const secrets: Secrets | null = isSealed ? { current: [fuzzSecret] } : null
    this.#isSealed = isSealed
    this.#nodes = { follower: new PeerNode('follower', secrets), leader: new PeerNode('leader', secrets) }
  }

  async open (): Promise<void> {
    for (const node of Object.values(this.#nodes)) {
      await node.open()
      this.#signatures[node.role] = node.signature()
    }
  }

  make (random: SimRandom): PeerInput {
    return makeInput(random, this.#isSealed)
  }

  async run (input: PeerInput): Promise<Outcome> {
    const node = this.#nodes[input.role]
    const { fields, isRight } = this.#sealOf(input)
    const answer = await node.client.send({ ...input, fields: [...input.fields, ...fields] })
    const isAccepted = answer?.status === 200
    if (isAccepted && !isRight) throw new BrokenRule('only a right seal is accepted', JSON.stringify(fields))
    const before = this.#signatures[input.role]
    if (node.signature() !== before) {
      const halted = await this.#haltedBy(node, input)
      if (halted === null && answer !== null && !isAccepted && !isBatch(input)) {
        throw new BrokenRule('a refused input changes nothing', `${before}\n${node.signature()}`)
      }
      await node.renew()
      this.#signatures[input.role] = node.signature()
      if (halted !== null) return accepted(`halted by ${halted}`)
    }
    if (!isAccepted) return refused(codeOf(answer))
    checkProposals(input)
    return accepted(input.path.slice(basePath.length + 1))
  }

  async close (): Promise<void> {
    for (const node of Object.values(this.#nodes)) await node.close()
  }

  /**
   * What an accepted message may do at most: raise the term, let the log grow. A leader may also bring a snapshot or
   * entries that no state machine reads: a follower that has them for certain goes no further, and says why.
   */
  async #haltedBy (node: PeerNode, { path }: PeerInput): Promise<string | null> {
    for (let turns = 0; turns < 4; turns++) await turn()
    const { term, commitIndex, lastIndex, failure } = node.engine.status()
    if (term < base.term || commitIndex < base.commit || lastIndex < commitIndex) {
      throw new BrokenRule('an accepted input keeps the promises of the log', node.signature())
    }
    if (failure === null) return null
    const code = codeIn(failure)
    const { propose, urls, notes } = lanePaths
    if ([propose, urls, notes].some((lane) => path.endsWith(lane)) || code === null) {
      throw new BrokenRule('no input stops a node but what a leader has committed', failure.stack ?? failure.message)
    }
    return code
  }

  /** The fields of a seal, and whether they prove the request. */
  #sealOf ({ seal, path, body, role }: PeerInput): { readonly fields: HttpInput['fields'], readonly isRight: boolean } {
    if (!this.#isSealed) return { fields: [], isRight: true }
    const { session } = this.#nodes[role]
    const { field } = session.seal(path, body)
    const fieldsOf = (value: string): HttpInput['fields'] => [[sealField, value]]
    switch (seal) {
      case 'right': return { fields: fieldsOf(field), isRight: true }
      case 'of another lane': return { fields: fieldsOf(session.seal(`${path}x`, body).field), isRight: false }
      case 'of another body': return { fields: fieldsOf(session.seal(path, Buffer.from('x')).field), isRight: false }
      case 'twice': return { fields: [...fieldsOf(field), ...fieldsOf(field)], isRight: false }
      case 'none': return { fields: [], isRight: false }
      default: {
        const edited = editText(field, seal.edits)
        // White space around a field is none of its value (RFC 9110, section 5.5).
        return { fields: fieldsOf(edited), isRight: wireText(edited) === field }
      }
    }
  }
}

/** Whether several messages came together: one that is refused does not undo those before it. */
function isBatch ({ path, body }: PeerInput): boolean {
  if (path !== basePath + lanePaths.control && path !== basePath + lanePaths.append) return false
  try {
    return decodeMessages(body).messages.length > 1
  } catch {
    return false
  }
}

/** A member may open sessions and send commands in them; the clock and the hashes of the state are the leader's. */
function checkProposals ({ path, body }: PeerInput): void {
  if (path !== basePath + lanePaths.propose) return
  const kinds = decodeCommands(body).commands.map((command) => decodeEnvelope(command).kind)
  if (kinds.some((kind) => kind !== 'open' && kind !== 'command')) {
    throw new BrokenRule('a member proposes only what members may', kinds.join(', '))
  }
}

/** The code of the error of this package that an error is, or comes from. */
function codeIn (error: Error): string | null {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (isRaftError(cause)) return cause.code
  }
  return null
}

function peersTarget (name: string, share: number, isSealed: boolean): Target<PeerInput> {
  return {
    name,
    share,
    open: async () => {
      const peers = new FuzzedPeers(isSealed)
      await peers.open()
      return peers
    }
  }
}

/** Messages to nodes that do not authenticate their peers. */
export const openPeers = peersTarget('open-peers', 22, false)

/** Messages under a seal, most of them a right one: what a member that is broken, or not honest, sends. */
export const sealedPeers = peersTarget('sealed-peers', 16, true)
