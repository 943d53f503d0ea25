import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  checkHop,
  endOfHop,
  formatAttempt,
  formatHop,
  formatNotExecuted,
  isForeign,
  judgeNotExecuted,
  parseAttempt,
  parseHop,
  withRefusalProof
} from '../../../src/gateway/forward/hop.ts'
import { MemberNonces, Prover, Verifier } from '../../../src/raft/internal.ts'

describe('the hop codec', () => {
  it('reads what it writes, names with separators included', () => {
    for (const hop of [
      { from: 'n1', to: 'n2', term: 7 },
      { from: 'n1', to: 'n2', term: 7, id: randomUUID(), cluster: '6f1e7c2a-0f5b-4c8e-9d0a-1b2c3d4e5f60' },
      { from: 'n1', to: 'n2', term: 7, time: { leftMs: 0 } },
      { from: 'n1', to: 'n2', term: 7, id: randomUUID(), cluster: 'u-1', time: { leftMs: 4_800, sentAtMs: 123_456 } },
      { from: 'gateway', to: 'node;to=n9, é%', term: Number.MAX_SAFE_INTEGER, id: randomUUID() },
      { from: 'n1', to: 'n2', term: 7, id: randomUUID(), time: { leftMs: 5 }, keyed: true } as const
    ]) expect(parseHop(formatHop(hop))).toEqual(hop)
    expect(formatHop({ from: 'n1', to: 'n2', term: 7 })).toBe('v=1;from=n1;to=n2;term=7')
  })

  it.each([
    undefined,
    '',
    'v=2;from=a;to=b;term=1',
    'v=1;from=a;to=b',
    'v=1;from=a;to=b;term=0',
    'v=1;from=a;to=b;term=-1',
    'v=1;from=a;to=b;term=NaN',
    'v=1;from=a;to=b;term=1e3',
    'v=1;from=a;to=b;term=9007199254740993',
    'v=1;from=;to=b;term=1',
    'v=1;from=a;to=%zz;term=1',
    'v=1;from=a;to=b;term=1, v=1;from=a;to=c;term=1',
    'v=1;from=a;to=b;term=1;x=2',
    'v=1;from=a;to=b;term=1;keyed=0',
    'v=1;from=a;to=b;term=1;keyed;id=x',
    'v=1;from=a;to=b;term=1;left=-1',
    'v=1;from=a;to=b;term=1;left=1e9',
    'v=1;from=a;to=b;term=1;at=5',
    'v=1;from=a;to=b;term=1;at=5;left=5',
    'v=1;from=a;to=b;term=1;left=99999999999',
    `v=1;from=a;to=b;term=1;id=${'x'.repeat(65)}`,
    `v=1;from=${'a'.repeat(4_000)};to=b;term=1`
  ])('refuses %j', (value) => {
    expect(parseHop(value)).toBeNull()
  })

  it('refuses a repeated field', () => {
    expect(parseHop(['v=1;from=a;to=b;term=1', 'v=1;from=a;to=b;term=1'])).toBeNull()
  })
})

describe('the end of a hop', () => {
  it('counts from when it was sent, by the clock of the receiver, and never from later than now', () => {
    const hop = { from: 'n1', to: 'n2', term: 7 }
    expect(endOfHop(hop, 10_000)).toBe(Infinity)
    expect(endOfHop({ ...hop, time: { leftMs: 500 } }, 10_000)).toBe(10_500)
    expect(endOfHop({ ...hop, time: { leftMs: 500, sentAtMs: 6_000 } }, 10_000)).toBe(6_500)
    // The sender takes this clock for faster than it is.
    expect(endOfHop({ ...hop, time: { leftMs: 500, sentAtMs: 99_000 } }, 10_000)).toBe(10_500)
  })
})

describe('the judgement of a hop', () => {
  const hop = { from: 'n1', to: 'n2', term: 7 }
  it('accepts it only on the named node, in the named term', () => {
    expect(checkHop(hop, { nodeId: 'n2', leadership: { term: 7 } })).toBe('serve')
    expect(checkHop(hop, { nodeId: 'n3', leadership: { term: 7 } })).toBe('not-executed')
    expect(checkHop(hop, { nodeId: 'n2', leadership: { term: 8 } })).toBe('not-executed')
    expect(checkHop(hop, { nodeId: 'n2', leadership: { term: 6 } })).toBe('not-executed')
    expect(checkHop(hop, { nodeId: 'n2', leadership: null })).toBe('not-executed')
    expect(checkHop(null, { nodeId: 'n2', leadership: { term: 7 } })).toBe('not-executed')
  })
})

describe('the "not executed" answer', () => {
  const hop = { from: 'n1', to: 'n2', term: 7, id: randomUUID() }
  it('is believed only with the right status and the identity of this attempt', () => {
    const value = formatNotExecuted(hop, 9, undefined)
    expect(judgeNotExecuted(503, value, hop, null)).toBe('not-executed')
    for (const status of [401, 403, 421]) expect(judgeNotExecuted(status, value, hop, null)).toBe('not-executed')
    expect(judgeNotExecuted(500, value, hop, null)).toBe('other')
    expect(judgeNotExecuted(503, undefined, hop, null)).toBe('other')
    expect(judgeNotExecuted(503, '9', hop, null)).toBe('other')
    expect(judgeNotExecuted(503, formatNotExecuted({ ...hop, id: randomUUID() }, 9, undefined), hop, null)).toBe('other')
    expect(judgeNotExecuted(503, '9;id=', { ...hop, id: '' }, null)).toBe('other')
  })

  it('B27 is believed only from the cluster that it was meant for, once that is known', () => {
    const known = { ...hop, cluster: 'u-1' }
    expect(judgeNotExecuted(503, formatNotExecuted(known, 9, 'u-1'), known, null)).toBe('not-executed')
    expect(judgeNotExecuted(503, formatNotExecuted(known, 9, 'u-2'), known, null)).toBe('other')
    expect(judgeNotExecuted(503, formatNotExecuted(known, 9, undefined), known, null)).toBe('other')
    expect(judgeNotExecuted(503, formatNotExecuted(hop, 9, 'u-2'), hop, null)).toBe('not-executed')
  })
})

describe('the "not executed" answer to an attempt with a proof', () => {
  const key = createSecretKey(randomBytes(32))
  const secrets = { current: [{ fingerprint: '', peerKey: key, callKey: key, gatewayKey: key }] }
  const parts = { method: 'POST', target: '/orders', hop: 'h', attempt: '', cluster: '' }
  const nonces = new MemberNonces('n2')
  const verifier = new Verifier({ nodeId: 'n2', secrets, nonces })
  const prover = Prover.ofMember('n1', secrets)
  const refusalOf = (id: string): string => formatNotExecuted({ id }, 9, undefined)

  it('is believed only when the node that took the proof proves that it refuses it', () => {
    const id = prover.nextId()
    const proof = prover.prove(nonces.own, parts, { id })
    const proven = verifier.verify(proof?.field ?? '', parts)
    const judge = (value: string): string => judgeNotExecuted(503, value, { id }, proof)
    const refusal = refusalOf(id)
    expect(judge(withRefusalProof(refusal, proven.proveRefusal(refusal)))).toBe('not-executed')
    expect(judge(refusal)).toBe('unproven')
    expect(judge(withRefusalProof(refusal, proven.proveRefusal(refusalOf(`${id}1`))))).toBe('unproven')
    expect(judge(withRefusalProof(refusal, 'x'.repeat(43)))).toBe('unproven')
    // The proof of an answer is none of a refusal.
    expect(judge(withRefusalProof(refusal, proven.proveAnswer(503, refusal)))).toBe('unproven')
    expect(judge(refusalOf('other'))).toBe('other')
  })

  it('needs none while the attempt only asks for the nonce: nobody executes that', () => {
    const id = prover.nextId()
    const asking = prover.prove(null, parts, { id })
    expect(judgeNotExecuted(401, refusalOf(id), { id }, asking)).toBe('not-executed')
    expect(() => verifier.verify(asking?.field ?? '', parts)).toThrow()
  })

  it('needs none without a secret: nobody could prove it', () => {
    const id = prover.nextId()
    const open = Prover.ofMember('n1', null).prove(nonces.own, parts, { id })
    expect(judgeNotExecuted(503, refusalOf(id), { id }, open)).toBe('not-executed')
  })
})

describe('an attempt without a hop', () => {
  it('is read as it is written, and as nothing else', () => {
    for (const attempt of [{ id: randomUUID() }, { id: randomUUID(), cluster: 'u-1' }]) {
      expect(parseAttempt(formatAttempt(attempt))).toEqual(attempt)
    }
    for (const value of [undefined, '', 'a b', 'a, b', 'a;cluster=', 'a;b=c', 'x'.repeat(65)]) {
      expect(parseAttempt(value)).toBeNull()
    }
  })

  it('B27 is foreign when both sides know that', () => {
    expect(isForeign({ cluster: 'u-1' }, 'u-2')).toBe(true)
    for (const [cluster, own] of [['u-1', 'u-1'], ['u-1', undefined]] as const) {
      expect(isForeign({ cluster }, own)).toBe(false)
    }
    expect(isForeign({}, 'u-2')).toBe(false)
  })
})
