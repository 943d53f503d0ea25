import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { MemberNonces } from '../../../src/raft/trust/member-nonces.ts'
import { Nonce } from '../../../src/raft/trust/nonce.ts'
import type { ProvenParts } from '../../../src/raft/trust/proof.ts'
import { hashOfBody, readProof } from '../../../src/raft/trust/proof.ts'
import { Prover } from '../../../src/raft/trust/prover.ts'
import type { GatewaySecrets, Secrets } from '../../../src/raft/trust/secret.ts'
import { gatewaySecretOf, makeSecret, readGatewaySecrets, readSecrets } from '../../../src/raft/trust/secret.ts'
import { Verifier } from '../../../src/raft/trust/verifier.ts'

const parts: ProvenParts = {
  method: 'POST',
  target: '/orders?a=1',
  hop: 'v=1;from=n2;to=n1;term=7;id=a',
  attempt: '',
  cluster: 'u-1'
}
const client = { address: 'fe80::1%eth0', port: 40_000, isTls: true }

function secretsOf (...texts: readonly string[]): Secrets {
  const reading = readSecrets(texts)
  if (reading.kind === 'faults') throw new Error(JSON.stringify(reading.faults))
  return reading
}

/** What a gateway holds of the secret. */
function derivedFrom ({ current: [secret] }: Secrets): GatewaySecrets {
  const derived = readGatewaySecrets([secret === undefined ? '' : gatewaySecretOf(secret)])
  if (derived.kind === 'faults') throw new Error('the derived one is one')
  return derived
}

/** A node that judges, and one that proves to it; each with its secrets. */
function pair (
  secrets: Secrets | null = secretsOf(makeSecret()),
  ofSender: Secrets | null = secrets
): { readonly nonces: MemberNonces, readonly verifier: Verifier, readonly prover: Prover } {
  const nonces = new MemberNonces('n1')
  return { nonces, verifier: new Verifier({ nodeId: 'n1', secrets, nonces }), prover: Prover.ofMember('n2', ofSender) }
}

function proofOf (prover: Prover, nonce: Nonce | null, given: ProvenParts = parts): string {
  return prover.prove(nonce, given, { id: prover.nextId(), client, caller: 'n4', bodyHash: hashOfBody('{}') })?.field ?? ''
}

const unauthenticated = expect.objectContaining({ code: 'RAFT_UNAUTHENTICATED' }) as Error

describe.each([['a secret', true], ['no secret', false]])('a proof, with %s', (_name, hasSecret) => {
  const open = (): ReturnType<typeof pair> => hasSecret ? pair() : pair(null)

  it('says what its sender said, and proves the answer', () => {
    const { verifier, prover, nonces } = open()
    const sent = prover.prove(nonces.own, parts, { id: prover.nextId(), client })
    const proven = verifier.verify(sent?.field ?? '', parts)
    expect(proven.claim).toMatchObject({ role: 'member', from: 'n2', client })
    const answer = proven.proveAnswer(200, '{"a":"é"}')
    expect(sent?.isAnswered(answer, 200, '{"a":"é"}')).toBe(true)
    for (const [field, status, body] of [
      [answer, 201, '{"a":"é"}'], [answer, 200, '{"a":"e"}'], [sent?.field, 200, '{"a":"é"}'], [undefined, 200, ''],
      [answer.slice(0, -1), 200, '{"a":"é"}']
    ] as const) expect(sent?.isAnswered(field, status, body)).toBe(false)
    // The answer to another request, even to the same one sent again.
    const other = prover.prove(nonces.own, parts, { id: prover.nextId(), client })
    expect(other?.isAnswered(answer, 200, '{"a":"é"}')).toBe(false)
  })

  it('fits no other request: method, target, hop, attempt, cluster', () => {
    const { verifier, prover, nonces } = open()
    const field = proofOf(prover, nonces.own)
    for (const [name, value] of [
      ['method', 'PUT'], ['target', '/orders?a=2'], ['hop', parts.hop.replace('n2', 'n3')], ['attempt', 'a'], ['cluster', '']
    ] as const) expect(() => verifier.verify(field, { ...parts, [name]: value })).toThrow(unauthenticated)
    expect(verifier.verify(field, parts).claim.caller).toBe('n4')
  })

  it('is none once anything in it has changed', () => {
    const { verifier, prover, nonces } = open()
    const field = proofOf(prover, nonces.own)
    for (let index = 0; index < field.length; index++) {
      // In each of them some bit is another one that counts, in the last letter of a MAC as well.
      const letter = field[index] === 'A' ? 'Q' : 'A'
      const changed = field.slice(0, index) + letter + field.slice(index + 1)
      expect(() => verifier.verify(changed, parts), changed).toThrow(/./)
    }
    expect(verifier.verify(field, parts).claim.from).toBe('n2')
  })

  it('counts once, and not at another node or after the next start', () => {
    const { verifier, prover, nonces } = open()
    const field = proofOf(prover, nonces.own)
    verifier.verify(field, parts)
    expect(() => verifier.verify(field, parts)).toThrow(/it was sent before/)
    for (const other of [pair(), pair(null)]) {
      expect(() => other.verifier.verify(field, parts)).toThrow(expect.objectContaining({ code: 'RAFT_PEER_SESSION' }) as Error)
    }
    nonces.drawAnew()
    expect(() => verifier.verify(field, parts)).toThrow(expect.objectContaining({ code: 'RAFT_PEER_SESSION' }) as Error)
  })

  it('may be overtaken by thousands of others', () => {
    const { verifier, prover, nonces } = open()
    const [first, second] = [proofOf(prover, nonces.own), proofOf(prover, nonces.own)]
    for (let count = 0; count < 16_381; count++) prover.nextId()
    verifier.verify(proofOf(prover, nonces.own), parts)
    expect(verifier.verify(second, parts).claim.from).toBe('n2')
    verifier.verify(proofOf(prover, nonces.own), parts)
    expect(() => verifier.verify(first, parts)).toThrow(/it was sent before/)
  })

  it('of more starts than are kept makes all begin anew, and none counts twice', () => {
    const secrets = hasSecret ? secretsOf(makeSecret()) : null
    const { verifier, nonces } = pair(secrets)
    const nonce = nonces.own
    const fields = Array.from({ length: 257 }, () => proofOf(Prover.ofMember('n2', secrets), nonce))
    for (const field of fields.slice(0, 256)) verifier.verify(field, parts)
    for (const field of [fields[256], fields[0]]) {
      expect(() => verifier.verify(field ?? '', parts)).toThrow(expect.objectContaining({ code: 'RAFT_PEER_SESSION' }) as Error)
    }
    expect(nonces.own.equals(nonce)).toBe(false)
    verifier.verify(proofOf(Prover.ofMember('n2', secrets), nonces.own), parts)
  })

  it.each(['', 'x', 'v=1', 'v=2;by=member;from=n2;id=a-1;nonce=', `v=1;by=member;from=n2;id=${'a'.repeat(32)}-0;nonce=`])(
    'cannot be read from %j', (field) => {
      expect(() => open().verifier.verify(field, parts)).toThrow(unauthenticated)
    }
  )
})

describe('a proof by a secret', () => {
  it('asks for the nonce while it is not known', () => {
    const { verifier, prover } = pair()
    expect(() => verifier.verify(proofOf(prover, null), parts))
      .toThrow(expect.objectContaining({ code: 'RAFT_PEER_SESSION' }) as Error)
    for (const role of ['member', 'gateway'] as const) {
      expect(Nonce.parse(verifier.tellsNonce(role))).not.toBeNull()
      expect(pair(null).verifier.tellsNonce(role)).toBeNull()
    }
  })

  it('of a node with another secret is told from a forged one', () => {
    const { verifier, nonces, prover } = pair(secretsOf(makeSecret()), secretsOf(makeSecret()))
    expect(() => verifier.verify(proofOf(prover, nonces.own), parts))
      .toThrow(expect.objectContaining({ code: 'RAFT_OTHER_SECRET', message: expect.stringMatching(/"n2".*"n1"/) as string }) as Error)
  })

  it('counts while the two sides have one secret in common, in any order', () => {
    const [old, anew] = [makeSecret(), makeSecret()]
    for (const [ofReceiver, ofSender] of [
      [[old], [old, anew]], [[old], [anew, old]], [[old, anew], [old]], [[old, anew], [anew]],
      [[old, anew], [anew, old]]
    ] as const) {
      const { verifier, prover, nonces } = pair(secretsOf(...ofReceiver), secretsOf(...ofSender))
      const sent = prover.prove(nonces.own, parts, { id: prover.nextId(), client })
      const { proveAnswer } = verifier.verify(sent?.field ?? '', parts)
      expect(sent?.isAnswered(proveAnswer(200, ''), 200, '')).toBe(true)
      // Sent again with one of its MACs left out, it is the same request.
      for (const field of (sent?.field ?? '').split('.')) expect(() => verifier.verify(field, parts)).toThrow(/./)
    }
  })

  it('by a gateway is that of a gateway, whatever it says, and uses up no counters of members', () => {
    const text = makeSecret()
    const secrets = secretsOf(text)
    const { verifier, prover, nonces } = pair(secrets)
    const gateway = Prover.ofGateway('g1', derivedFrom(secrets))
    const ofGateways = Nonce.parse(verifier.tellsNonce('gateway'))
    const field = proofOf(gateway, ofGateways)
    expect(() => verifier.verify(field.replace('by=gateway', 'by=member'), parts)).toThrow(/./)
    expect(verifier.verify(field, parts).claim).toMatchObject({ role: 'gateway', from: 'g1' })
    const ofMember = proofOf(prover, nonces.own)
    const id = readProof(ofMember)?.claim.id ?? ''
    const taken = gateway.prove(ofGateways, parts, { id })
    expect(verifier.verify(taken?.field ?? '', parts).claim.from).toBe('g1')
    expect(verifier.verify(ofMember, parts).claim.from).toBe('n2')
    expect(Prover.ofGateway('g1', null).prove(nonces.own, parts, { id: 'a' })).toBeNull()
  })

  it('of more gateways than are kept makes gateways begin anew, and members go on', () => {
    const secrets = secretsOf(makeSecret())
    const { verifier, prover, nonces } = pair(secrets)
    const [ofMembers, ofGateways] = [nonces.own, Nonce.parse(verifier.tellsNonce('gateway'))]
    const earlier = proofOf(prover, ofMembers)
    verifier.verify(earlier, parts)
    const fields = Array.from({ length: 257 }, () => proofOf(Prover.ofGateway('g1', derivedFrom(secrets)), ofGateways))
    for (const field of fields.slice(0, 256)) verifier.verify(field, parts)
    for (const field of [fields[256], fields[0]]) {
      expect(() => verifier.verify(field ?? '', parts)).toThrow(expect.objectContaining({ code: 'RAFT_PEER_SESSION' }) as Error)
    }
    expect(nonces.own).toBe(ofMembers)
    expect(() => verifier.verify(earlier, parts)).toThrow(/it was sent before/)
    expect(verifier.verify(proofOf(prover, ofMembers), parts).claim.from).toBe('n2')
    const anew = Nonce.parse(verifier.tellsNonce('gateway'))
    expect(verifier.verify(proofOf(Prover.ofGateway('g1', derivedFrom(secrets)), anew), parts).claim.from).toBe('g1')
  })

  it('tells nothing of the nonce but its name, where the nonce is the key', () => {
    const { prover, nonces } = pair(null)
    const field = proofOf(prover, nonces.own)
    const bytes = nonces.own.bytes
    expect(field).not.toContain(bytes.toString('base64url').slice(0, 8))
    expect(nonces.own.name).toBe(createHash('sha256').update(bytes).digest().subarray(0, 6).toString('base64url'))
    expect(proofOf(prover, null)).toBe('')
    expect(Nonce.read(randomBytes(31))).toBeNull()
  })
})
