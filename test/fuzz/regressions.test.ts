import { describe, expect, it } from 'vitest'
import type { Configuration, Message } from '../../src/raft/core/index.ts'
import { asIndex, asTerm } from '../../src/raft/core/index.ts'
import type { CommandEnvelope } from '../../src/raft/state/command-envelope.ts'
import { encodeEnvelope } from '../../src/raft/state/command-envelope.ts'
import { encodeCommands, encodeMessages } from '../../src/raft/transport/codec.ts'
import { addressFrom, base, basePath, configurationOfRole, peerContentType } from './peer-node.ts'
import { printInput } from './print.ts'
import { replayed } from './replayed.ts'

/** A request of a peer, as the fuzzer prints it. */
function peerInput (role: 'leader' | 'follower', lane: string, body: Uint8Array): string {
  const fields = [['content-type', peerContentType]]
  return printInput({ role, method: 'POST', path: basePath + lane, fields, body, framing: 'length', seal: 'right' })
}

function messageFrom (from: string, message: object): Uint8Array {
  const { to, cluster, ...address } = addressFrom(from)
  const envelope = { from: address.from, to, cluster, term: asTerm(base.term) }
  return encodeMessages({ ...address, to, cluster }, [{ ...envelope, ...message } as Message])
}

describe('what the fuzzer has found stays fixed', () => {
  it.each(['leader', 'follower'] as const)('a message in the name of a %s itself does not stop it', async (role) => {
    // Of an earlier term: the answer would have gone to the node itself.
    const body = messageFrom('n1', { kind: 'heartbeat-request', term: asTerm(1), commit: asIndex(0), round: 1 })
    const outcome = await replayed('open-peers', peerInput(role, '/control', body))
    expect(outcome).toEqual({ verdict: 'refused', code: 'RAFT_MISDIRECTED' })
  })

  it.each<CommandEnvelope>([
    { kind: 'clock', wallMs: 1 },
    { kind: 'checkpoint', index: 5, hash: new Uint8Array(32) }
  ])('a member cannot propose the $kind of a leader', async (command) => {
    const body = encodeCommands(addressFrom('n2'), [encodeEnvelope(command)])
    const outcome = await replayed('sealed-peers', peerInput('leader', '/propose', body))
    expect(outcome).toEqual({ verdict: 'refused', code: 'RAFT_MALFORMED_MESSAGE' })
  })

  it.each(['', 'x', 'ftp://127.0.0.1:9', 'http://127.0.0.1:9/path'])('a member at "%s" stops no node', async (address) => {
    const { members, ...rest } = configurationOfRole('follower')
    const configuration: Configuration = { ...rest, members: members.map((member) => ({ ...member, address })) }
    const head = { index: asIndex(base.lastIndex + 1), term: asTerm(base.term), timeMs: 10_000 }
    const body = messageFrom('n2', {
      kind: 'append-request',
      prevIndex: asIndex(base.lastIndex),
      prevTerm: asTerm(base.term),
      commit: asIndex(base.commit),
      entries: [{ ...head, kind: 'configuration', configuration }]
    })
    const outcome = await replayed('sealed-peers', peerInput('follower', '/append', body))
    expect(outcome).toEqual({ verdict: 'accepted', code: 'append' })
  })

  it.each([
    ['{"log":1,"forged":[{"part":0,"at":53,"bytes":{"hex":"0001"}}],"damage":[],"others":[]}'],
    ['{"log":367365413,"forged":[{"part":0,"at":53,"bytes":{"hex":"0001"}}],"damage":[],"others":[]}']
  ])('a segment that starts behind an entry of a later term than its own is refused', async (input) => {
    expect(await replayed('log-files', input)).toEqual({ verdict: 'refused', code: 'RAFT_WAL_CORRUPT' })
  })

  it('a segment that commits entries which the log does not hold is refused', async () => {
    const forged = [{ part: 1, at: 13, bytes: { hex: '0001' } }]
    const input = JSON.stringify({ log: 1_217_739_874, forged, damage: [], others: [] })
    expect(await replayed('log-files', input)).toEqual({ verdict: 'refused', code: 'RAFT_WAL_CORRUPT' })
  })

  it('a state that ends behind every index that nodes can tell each other is refused', async () => {
    const sections = ['maps', 'locks', 'fences', 'answers'].map((name) => (
      { name, version: name === 'answers' ? 2 : 1, records: name === 'fences' ? ['[0,9007199254740991]'] : [] }
    ))
    const input = JSON.stringify({ sections, overwrites: [], isSealed: true })
    expect(await replayed('states', input)).toEqual({ verdict: 'refused', code: 'RAFT_SNAPSHOT_CORRUPT' })
  })

  it('a state with an answer from behind all times is refused', async () => {
    const answer = '["http:map:2:kv:k1",9007199254740990,600000,"x",{"kind":"written","key":"a","revision":1}]'
    const sections = ['maps', 'locks', 'fences', 'answers'].map((name) => {
      const records = name === 'fences' ? ['[90,90]'] : name === 'answers' ? [answer] : []
      return { name, version: name === 'answers' ? 2 : 1, records }
    })
    const input = JSON.stringify({ sections, overwrites: [], isSealed: true })
    expect(await replayed('states', input)).toEqual({ verdict: 'refused', code: 'RAFT_SNAPSHOT_CORRUPT' })
  })

  it('a command of a kind that nests deeply stops no copy', async () => {
    const bytes = Buffer.from(`{"kind":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)
    expect(await replayed('commands', printInput({ bytes }))).toEqual({
      verdict: 'refused',
      code: 'RAFT_MALFORMED_COMMAND'
    })
  })

  it('what is no JSON is refused with a code of this package', async () => {
    const fields = [['content-type', 'application/json']]
    const body = new Uint8Array(0)
    const input = printInput({ method: 'PUT', path: '/_cluster/v1/kv/a', fields, body, framing: 'length' })
    expect(await replayed('admin-routes', input)).toEqual({ verdict: 'refused', code: 'RAFT_INVALID_REQUEST' })
  })
})
