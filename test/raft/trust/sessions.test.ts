import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { asNodeId } from '../../../src/raft/core/index.ts'
import { IncomingSessions } from '../../../src/raft/trust/incoming-sessions.ts'
import { OutgoingSession } from '../../../src/raft/trust/outgoing-session.ts'
import type { Secret } from '../../../src/raft/trust/secret.ts'
import { makeSecret, readSecret } from '../../../src/raft/trust/secret.ts'

const n1 = asNodeId('n1')
const n2 = asNodeId('n2')
const path = '/_cluster/raft/append'
const body = Buffer.from('a message')

function secret (): Secret {
  const reading = readSecret(makeSecret())
  if (reading.kind === 'fault') throw new Error(reading.message)
  return reading.secret
}

interface Sides {
  /** Of n1, towards n2. */
  readonly outgoing: OutgoingSession
  /** Of n2. */
  readonly incoming: IncomingSessions
}

function sides ({ ours, theirs, clusterId = 'orders', to = n2 }: {
  readonly ours: readonly Secret[]
  readonly theirs: readonly Secret[] | (() => readonly Secret[])
  readonly clusterId?: string
  readonly to?: typeof n2
}): Sides {
  return {
    outgoing: new OutgoingSession({ clusterId, from: n1, to }, { current: ours }),
    incoming: new IncomingSessions({
      clusterId: 'orders',
      nodeId: n2,
      secrets: { get current () { return typeof theirs === 'function' ? theirs() : theirs } }
    })
  }
}

function open ({ outgoing, incoming }: Sides): void {
  const hello = outgoing.hello()
  expect(hello.welcomed(incoming.welcome(hello.body))).toBe(true)
}

function opened (): Sides {
  const shared = secret()
  const both = sides({ ours: [shared], theirs: [shared] })
  open(both)
  return both
}

function codeOf (run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'none'
}

/** The same bytes with one bit flipped. */
function altered (bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

describe('a session between two peers', () => {
  it('proves requests and answers', () => {
    const { outgoing, incoming } = opened()
    const sealed = outgoing.seal(path, body)
    incoming.claimedSender(sealed.field)
    const proven = incoming.prove(sealed.field, path, body)
    expect(proven.from).toBe('n1')
    const answer = Buffer.from('an answer')
    expect(sealed.isProven(proven.sealAnswer(200, answer), 200, answer)).toBe(true)
  })

  it('refuses a request that is altered, or sent to another path', () => {
    const { outgoing, incoming } = opened()
    const { field } = outgoing.seal(path, body)
    expect(codeOf(() => incoming.prove(field, path, altered(body, 0)))).toBe('RAFT_UNAUTHENTICATED')
    expect(codeOf(() => incoming.prove(field, '/_cluster/raft/control', body))).toBe('RAFT_UNAUTHENTICATED')
    const [id, counter, mac] = field.split(' ')
    expect(codeOf(() => incoming.prove(`${id} ${Number(counter) + 1} ${mac}`, path, body))).toBe('RAFT_UNAUTHENTICATED')
    // None of those has used up the counter.
    expect(incoming.prove(field, path, body).from).toBe('n1')
  })

  it('refuses a request that is played back', () => {
    const { outgoing, incoming } = opened()
    const { field } = outgoing.seal(path, body)
    incoming.prove(field, path, body)
    expect(codeOf(() => incoming.prove(field, path, body))).toBe('RAFT_UNAUTHENTICATED')
  })

  it('refuses a request of a recorded session after the handshake was played back', () => {
    const shared = secret()
    const both = sides({ ours: [shared], theirs: [shared] })
    const hello = both.outgoing.hello()
    hello.welcomed(both.incoming.welcome(hello.body))
    const { field } = both.outgoing.seal(path, body)
    // The receiver was started anew, and a recorder plays hello and request.
    const { incoming } = sides({ ours: [shared], theirs: [shared] })
    incoming.welcome(hello.body)
    expect(codeOf(() => incoming.prove(field, path, body))).toBe('RAFT_PEER_SESSION')
  })

  it('refuses an answer that is altered, of another request, of another status, or a request sent back', () => {
    const { outgoing, incoming } = opened()
    const first = outgoing.seal(path, body)
    const second = outgoing.seal(path, body)
    const answer = Buffer.from('an answer')
    const field = incoming.prove(first.field, path, body).sealAnswer(200, answer)
    expect(first.isProven(field, 200, altered(answer, 1))).toBe(false)
    expect(first.isProven(field, 500, answer)).toBe(false)
    expect(second.isProven(field, 200, answer)).toBe(false)
    expect(first.isProven(first.field, 200, body)).toBe(false)
    expect(first.isProven(first.field.split(' ')[2], 200, body)).toBe(false)
    expect(first.isProven(undefined, 200, answer)).toBe(false)
    expect(first.isProven(field, 200, answer)).toBe(true)
  })

  it.each([undefined, '', 'x', [], `${'0'.repeat(32)} 1 short`, `${'0'.repeat(32)} 01 ${'A'.repeat(43)}`])(
    'refuses the field %j', (field) => {
      const { incoming } = opened()
      expect(codeOf(() => { incoming.claimedSender(field) })).toBe('RAFT_UNAUTHENTICATED')
    }
  )

  it('is not opened by a sender with another secret, nor by a receiver that has another', () => {
    const both = sides({ ours: [secret()], theirs: [secret()] })
    expect(codeOf(() => both.incoming.welcome(both.outgoing.hello().body))).toBe('RAFT_OTHER_SECRET')
    // A receiver that answers in spite of it.
    const shared = secret()
    const { outgoing } = sides({ ours: [shared], theirs: [] })
    const hello = outgoing.hello()
    const other = sides({ ours: [shared], theirs: [shared] })
    const welcome = other.incoming.welcome(other.outgoing.hello().body)
    expect(hello.welcomed(welcome)).toBe(false)
    expect(outgoing.isOpen).toBe(false)
  })

  it('is not opened for another node, another cluster, or with an altered hello', () => {
    const shared = secret()
    const toN3 = sides({ ours: [shared], theirs: [shared], to: asNodeId('n3') })
    expect(codeOf(() => toN3.incoming.welcome(toN3.outgoing.hello().body))).toBe('RAFT_MISDIRECTED')
    const ofOther = sides({ ours: [shared], theirs: [shared], clusterId: 'payments' })
    expect(codeOf(() => ofOther.incoming.welcome(ofOther.outgoing.hello().body))).toBe('RAFT_MISDIRECTED')
    const both = sides({ ours: [shared], theirs: [shared] })
    const hello = both.outgoing.hello().body
    for (let at = 0; at < hello.byteLength; at++) {
      expect(['RAFT_MALFORMED_MESSAGE', 'RAFT_OTHER_SECRET'], `byte ${at}`)
        .toContain(codeOf(() => both.incoming.welcome(altered(hello, at))))
      expect(codeOf(() => both.incoming.welcome(hello.subarray(0, at))), `cut at ${at}`).toBe('RAFT_MALFORMED_MESSAGE')
    }
  })

  it('survives hellos that are played back, and other bytes', () => {
    const shared = secret()
    const both = sides({ ours: [shared], theirs: [shared] })
    const hello = both.outgoing.hello()
    hello.welcomed(both.incoming.welcome(hello.body))
    const first = both.outgoing.seal(path, body)
    both.incoming.prove(first.field, path, body)
    for (let round = 0; round < 1_000; round++) codeOf(() => both.incoming.welcome(hello.body))
    for (let round = 0; round < 1_000; round++) codeOf(() => both.incoming.welcome(randomBytes(round % 200)))
    expect(both.incoming.prove(both.outgoing.seal(path, body).field, path, body).from).toBe('n1')
  })

  it('lets no hello that is played back end a session which was just opened', () => {
    const shared = secret()
    const recorded = sides({ ours: [shared], theirs: [shared] }).outgoing.hello()
    const both = sides({ ours: [shared], theirs: [shared] })
    const play = (): string => codeOf(() => both.incoming.welcome(recorded.body))
    for (let round = 0; round < 100; round++) play()
    const hello = both.outgoing.hello()
    expect(hello.welcomed(both.incoming.welcome(hello.body))).toBe(true)
    for (let round = 0; round < 100; round++) expect(play()).toBe('RAFT_UNAUTHENTICATED')
    expect(both.incoming.prove(both.outgoing.seal(path, body).field, path, body).from).toBe('n1')
  })

  it('keeps a bounded number of sessions, of many senders too', () => {
    const shared = secret()
    const incoming = new IncomingSessions({ clusterId: 'orders', nodeId: n2, secrets: { current: [shared] } })
    const senders = Array.from({ length: 200 }, (_, number) => {
      const outgoing = new OutgoingSession(
        { clusterId: 'orders', from: asNodeId(`m${number}`), to: n2 },
        { current: [shared] }
      )
      open({ outgoing, incoming })
      return outgoing
    })
    const known = senders.filter((sender) => codeOf(() => { incoming.claimedSender(sender.seal(path, body).field) }) === 'none')
    expect(known).toEqual(senders.slice(-64))
  })

  it('goes on while a new secret is brought in: accept it, then use it, then drop the old one', () => {
    const old = secret()
    const fresh = secret()
    let theirs: readonly Secret[] = [old]
    // This node has the new one first already, its peer does not know it yet.
    const both = sides({ ours: [fresh, old], theirs: () => theirs })
    expect(codeOf(() => both.incoming.welcome(both.outgoing.hello().body))).toBe('RAFT_OTHER_SECRET')
    both.outgoing.useNextSecret()
    open(both)
    theirs = [fresh, old]
    expect(both.incoming.prove(both.outgoing.seal(path, body).field, path, body).from).toBe('n1')
    theirs = [fresh]
    const late = both.outgoing.seal(path, body)
    expect(codeOf(() => { both.incoming.claimedSender(late.field) })).toBe('RAFT_PEER_SESSION')
    both.outgoing.end(late)
    expect(both.outgoing.isOpen).toBe(false)
    both.outgoing.useNextSecret()
    open(both)
    expect(both.incoming.prove(both.outgoing.seal(path, body).field, path, body).from).toBe('n1')
  })
})
