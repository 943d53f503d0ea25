import { createSecretKey } from 'node:crypto'
import type { Hop } from '../../../src/gateway/forward/hop.ts'
import {
  attemptHeader,
  formatAttempt,
  formatHop,
  hopHeader,
  isProven,
  parseHop,
  proveHop
} from '../../../src/gateway/forward/hop.ts'
import type { SimRandom } from '../../sim/random.ts'
import { AppNode } from '../app-node.ts'
import type { HttpInput } from '../http-client.ts'
import { anyField, anyFraming, wireText } from '../http-client.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refused } from '../target.ts'
import type { TextEdit } from '../values.ts'
import { edgeCount, editText, strangeText, textEdit } from '../values.ts'

/** A hop that is written when it is sent: its proof is made with a key that each node draws anew. */
interface HopToWrite {
  readonly hop: Hop
  readonly proof: 'right' | 'of another key' | 'none'
  readonly edits: readonly TextEdit[]
}

/** A request to a route of the application with fields that only nodes send. */
export interface HopInput extends HttpInput {
  readonly hops: readonly HopToWrite[]
}

const view = { address: '192.0.2.7', port: 4_711, isTls: false }

function makeHop (random: SimRandom): HopToWrite {
  const hop = {
    from: random.chance(0.9) ? 'n2' : strangeText(random) || 'x',
    to: random.chance(0.85) ? 'n1' : strangeText(random) || 'x',
    term: random.chance(0.85) ? 1 : edgeCount(random, 1),
    ...(random.chance(0.5) ? { id: random.chance(0.9) ? 'attempt-1' : strangeText(random) } : {}),
    ...(random.chance(0.1) ? { cluster: random.pick(['x', '__proto__']) } : {})
  }
  return {
    hop: { ...hop, from: wellFormedId(hop.from), to: wellFormedId(hop.to) },
    proof: random.pick(['right', 'right', 'of another key', 'none'] as const),
    edits: random.chance(0.5) ? [] : Array.from({ length: random.between(1, 2) }, () => textEdit(random))
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
  readonly #otherKey = createSecretKey(Buffer.alloc(32, 1))
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
    const values = input.hops.map((hop) => wireText(this.#write(hop)))
    node.seen = null
    const hopLines = values.map((value) => [hopHeader, value] as const)
    const answer = await node.client.send({ ...input, fields: [...input.fields, ...hopLines] })
    // Set by the handler, in between.
    const seen = node.seen as AppNode['seen']
    if (node.signature() !== this.#signature) throw new BrokenRule('no hop changes the state', node.signature())
    if (seen !== null) this.#checkServed(seen, values)
    if (answer === null) return refused('connection closed')
    const { status, fields, body } = answer
    if (status === 500) throw new BrokenRule('the status is one of a refusal', body.toString('utf8'))
    if (status < 400) return accepted(values.length > 0 ? 'served, with a hop' : 'served')
    if (fields.has('raft-not-executed')) {
      if (seen !== null) throw new BrokenRule('what was not executed ran no handler', JSON.stringify(seen))
      return refused(`not executed, ${(JSON.parse(body.toString('utf8')) as { readonly code: string }).code}`)
    }
    return refused(`HTTP ${status}`)
  }

  async close (): Promise<void> {
    await this.#node.close()
  }

  /** A handler never sees a field of ours, and another address than the socket's only by the word of a member. */
  #checkServed ({ ip, internalFields }: NonNullable<AppNode['seen']>, values: readonly string[]): void {
    if (internalFields.length > 0) throw new BrokenRule('no handler sees an internal field', internalFields.join(', '))
    const [value = '', ...others] = values
    const key = this.#node.engine.hopKey('n1')
    const isWord = others.length === 0 && key !== null && parseHop(value)?.client !== undefined && isProven(value, key)
    if (!isWord && !ip.startsWith('127.')) {
      throw new BrokenRule('only a member says where a request came from', `${ip} by ${value}`)
    }
  }

  #write ({ hop, proof, edits }: HopToWrite): string {
    const key = proof === 'right' ? this.#node.engine.hopKey('n1') : this.#otherKey
    const text = proof === 'none' || key === null ? formatHop(hop) : proveHop(hop, view, key)
    return editText(text, edits)
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
