import { BinaryWriter } from '../../../src/raft/runtime/binary.ts'
import { helloPath } from '../../../src/raft/transport/http-peer.ts'
import { decodeHello } from '../../../src/raft/trust/handshake.ts'
import { macBytes, macOf } from '../../../src/raft/trust/seal.ts'
import type { SimRandom } from '../../sim/random.ts'
import { damagedMessage } from '../bytes.ts'
import { fuzzSecret, otherSecret } from '../fuzz-secrets.ts'
import { codeOf } from '../http-client.ts'
import { basePath, clusterId, peerContentType, PeerNode } from '../peer-node.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refused } from '../target.ts'
import { noise, strangeText } from '../values.ts'

/** The first message of a handshake: what it says, and the proof behind it. */
export interface HelloInput {
  readonly content: Uint8Array
  /** By which secret the proof is, or what stands in its place. */
  readonly proof: 'right' | 'of another secret' | { readonly bytes: Uint8Array }
}

/** All of a hello but its proof. Chance fills the nonce: a real one is random, and no input would come twice. */
function content (random: SimRandom): Uint8Array {
  const writer = new BinaryWriter()
  writer.raw(Buffer.from('FRH'))
  writer.byte(1)
  writer.string(random.chance(0.9) ? clusterId : strangeText(random))
  writer.string(random.chance(0.8) ? random.pick(['n2', 'n3', 'n4']) : strangeText(random))
  writer.string(random.chance(0.9) ? 'n1' : strangeText(random))
  writer.raw(Uint8Array.from({ length: 32 }, () => random.between(0, 255)))
  return Uint8Array.from(writer.finish())
}

class FuzzedHellos implements Fuzzed<HelloInput> {
  readonly #node = new PeerNode('follower', { current: [fuzzSecret] })
  #signature = ''

  async open (): Promise<void> {
    await this.#node.open()
    this.#signature = this.#node.signature()
  }

  make (random: SimRandom): HelloInput {
    const right = content(random)
    const decode = (body: Uint8Array): unknown => decodeHello(Buffer.concat([body, Buffer.alloc(macBytes)]), [])
    const said = random.chance(0.3)
      ? right
      : Uint8Array.from(damagedMessage(random, right, decode, { body: content(random), decode }))
    if (random.chance(0.8)) return { content: said, proof: 'right' }
    const bytes = noise(random, random.pick([0, macBytes, 3_000]))
    return { content: said, proof: random.chance(0.5) ? 'of another secret' : { bytes } }
  }

  async run ({ content: said, proof }: HelloInput): Promise<Outcome> {
    const mac = typeof proof === 'object'
      ? proof.bytes
      : macOf((proof === 'right' ? fuzzSecret : otherSecret).peerKey, 'hello\n', said)
    const answer = await this.#node.client.send({
      method: 'POST',
      path: basePath + helloPath,
      fields: [['content-type', peerContentType]],
      body: Buffer.concat([said, mac]),
      framing: 'length'
    })
    if (this.#node.signature() !== this.#signature) {
      throw new BrokenRule('a handshake changes nothing of the state', this.#node.signature())
    }
    if (answer?.status !== 200) return refused(codeOf(answer))
    if (proof !== 'right') throw new BrokenRule('only who knows the secret gets a session', JSON.stringify(proof))
    return accepted('welcome')
  }

  async close (): Promise<void> {
    await this.#node.close()
  }
}

/** First messages of handshakes. */
export const hellos: Target<HelloInput> = {
  name: 'hellos',
  share: 6,
  open: async () => {
    const opened = new FuzzedHellos()
    await opened.open()
    return opened
  }
}
