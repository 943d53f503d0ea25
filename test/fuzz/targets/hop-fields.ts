import type { Hop } from '../../../src/gateway/forward/hop.ts'
import { attemptHeader, formatAttempt, formatHop, hopHeader } from '../../../src/gateway/forward/hop.ts'
import type { ProofRole } from '../../../src/raft/trust/proof.ts'
import { proofField } from '../../../src/raft/trust/proof.ts'
import { Prover } from '../../../src/raft/trust/prover.ts'
import type { SimRandom } from '../../sim/random.ts'
import type { Seen } from '../app-node.ts'
import { AppNode } from '../app-node.ts'
import { fuzzSecret, otherSecret } from '../fuzz-secrets.ts'
import type { HttpInput } from '../http-client.ts'
import { anyField, anyFraming, wireText } from '../http-client.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refused } from '../target.ts'
import type { TextEdit } from '../values.ts'
import { edgeCount, editText, strangeText, textEdit } from '../values.ts'

/**
 * What says that a request was forwarded, and its proof. Both are written when it is sent: the proof is made with a
 * nonce that each node draws anew.
 */
interface HopToWrite {
  readonly hop: Hop
  readonly role: ProofRole
  readonly tellsClient: boolean
  readonly proof: 'right' | 'of another secret' | 'of another request' | 'without a nonce' | 'none'
  readonly hopEdits: readonly TextEdit[]
  readonly proofEdits: readonly TextEdit[]
}

/** A request to a route of the application with fields that only nodes send. */
export interface HopInput extends HttpInput {
  readonly hops: readonly HopToWrite[]
}

const view = { address: '192.0.2.7', port: 4_711, isTls: false }

function makeHop (random: SimRandom): HopToWrite {
  const hop = {
    from: random.chance(0.9) ? 'n1' : strangeText(random) || 'x',
    to: random.chance(0.85) ? 'n1' : strangeText(random) || 'x',
    term: random.chance(0.85) ? 1 : edgeCount(random, 1),
    ...(random.chance(0.5) ? { id: random.chance(0.9) ? 'attempt-1' : strangeText(random) } : {}),
    ...(random.chance(0.1) ? { cluster: random.pick(['x', '__proto__']) } : {})
  }
  const edits = (): readonly TextEdit[] => random.chance(0.75)
    ? []
    : Array.from({ length: random.between(1, 2) }, () => textEdit(random))
  return {
    hop: { ...hop, from: wellFormedId(hop.from), to: wellFormedId(hop.to) },
    role: random.chance(0.7) ? 'member' : 'gateway',
    tellsClient: random.chance(0.8),
    proof: random.chance(0.65)
      ? 'right'
      : random.pick(['of another secret', 'of another request', 'without a nonce', 'none'] as const),
    hopEdits: edits(),
    proofEdits: edits()
  }
}

/** What can be percent-encoded. */
function wellFormedId (text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8')
}

function internalField (random: SimRandom): readonly [string, string] {
  return random.pick<() => readonly [string, string]>([
    () => [attemptHeader, editText(formatAttempt({ id: 'attempt-2', cluster: 'x' }), [textEdit(random)])],
    () => [attemptHeader, formatAttempt({ id: 'attempt-2' })],
    () => ['raft-proof', strangeText(random)],
    () => ['raft-cluster', strangeText(random)],
    () => ['raft-not-executed', '1;id=attempt-1'],
    () => ['Raft-Hop', strangeText(random)],
    () => ['RAFT-', strangeText(random)],
    () => ['raft-__proto__', 'x'],
    () => anyField(random)
  ])()
}

class FuzzedHops implements Fuzzed<HopInput> {
  readonly #node = new AppNode()
  #signature = ''

  async open (): Promise<void> {
    await this.#node.open()
    this.#signature = this.#node.signature()
  }

  make (random: SimRandom): HopInput {
    const isOdd = random.chance(0.05)
    const method = random.chance(0.6) ? 'POST' : 'GET'
    const path = random.pick(['/forward', '/plain', '/missing', method === 'GET' ? '/plain' : '/leader'])
    const hops = Array.from({ length: random.pick([0, 1, 1, 1, 1, 1, 1, 2]) }, () => makeHop(random))
    const fields = Array.from({ length: random.pick([0, 0, 1, 2]) }, () => internalField(random))
    return {
      method,
      path: isOdd ? editText(path, [textEdit(random)]) : path,
      fields: method === 'POST' ? [['content-type', 'application/json'], ...fields] : fields,
      body: method === 'POST' ? Buffer.from('{"a":1}') : new Uint8Array(0),
      framing: isOdd ? anyFraming(random) : 'length',
      hops
    }
  }

  async run (input: HopInput): Promise<Outcome> {
    const node = this.#node
    const written = input.hops.map((hop) => this.#write(hop, input))
    node.seen = null
    const lines = written.flatMap((hop) => hop.lines)
    const answer = await node.client.send({ ...input, fields: [...input.fields, ...lines] })
    // Set by the handler, in between.
    const seen = node.seen as Seen | null
    if (node.signature() !== this.#signature) throw new BrokenRule('no hop changes the state', node.signature())
    if (seen !== null) checkServed(seen, input, written)
    if (answer === null) return refused('connection closed')
    const { status, fields, body } = answer
    if (status === 500) throw new BrokenRule('the status is one of a refusal', body.toString('utf8'))
    if (status < 400) return accepted(written.length > 0 ? 'served, with a hop' : 'served')
    if (fields.has('raft-not-executed')) {
      if (seen !== null) throw new BrokenRule('what was not executed ran no handler', JSON.stringify(seen))
      return refused(`not executed, ${(JSON.parse(body.toString('utf8')) as { readonly code: string }).code}`)
    }
    return refused(`HTTP ${status}`)
  }

  async close (): Promise<void> {
    await this.#node.close()
  }

  #write ({ hop, role, tellsClient, proof, hopEdits, proofEdits }: HopToWrite, { method, path }: HopInput): WrittenHop {
    const value = formatHop(hop)
    const edited = wireText(editText(value, hopEdits))
    if (proof === 'none') return { lines: [[hopHeader, edited]], isRight: false }
    const secrets = { current: [proof === 'of another secret' ? otherSecret : fuzzSecret] }
    const prover = role === 'member' ? Prover.ofMember(hop.from, secrets) : Prover.ofGateway(hop.from, secrets)
    const target = proof === 'of another request' ? `${path}x` : path
    const sent = prover.prove(
      proof === 'without a nonce' ? null : this.#node.nonceOf(role),
      { method, target, hop: value, attempt: '', cluster: '' },
      { id: prover.nextId(), ...(tellsClient ? { client: view } : {}) }
    )
    const field = sent?.field ?? ''
    const editedField = wireText(editText(field, proofEdits))
    return {
      lines: [[hopHeader, edited], [proofField, editedField]],
      isRight: proof === 'right' && edited === value && editedField === field
    }
  }
}

/** The lines of a hop, and whether they prove what they say. */
interface WrittenHop {
  readonly lines: HttpInput['fields']
  readonly isRight: boolean
}

/** A handler never sees a field of ours, and another address than the socket's only by a right proof. */
function checkServed ({ ip, internalFields }: Seen, { fields }: HopInput, written: readonly WrittenHop[]): void {
  if (internalFields.length > 0) throw new BrokenRule('no handler sees an internal field', internalFields.join(', '))
  const isProven = written.length === 1 && written[0]?.isRight === true
  if (!isProven && !ip.startsWith('127.')) {
    throw new BrokenRule('only a member says where a request came from', `${ip} by ${JSON.stringify([fields, written])}`)
  }
}

/** Requests with the fields of hops and attempts, on an application. */
export const hopFields: Target<HopInput> = {
  name: 'hop-fields',
  share: 12,
  open: async () => {
    const opened = new FuzzedHops()
    await opened.open()
    return opened
  }
}
