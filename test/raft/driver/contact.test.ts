import { describe, expect, it } from 'vitest'
import type { LeadershipView, Message } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { Contact } from '../../../src/raft/driver/contact.ts'

const self = asNodeId('n1')
const leader = asNodeId('n2')
const other = asNodeId('n3')

function heartbeat (from: typeof leader, term: number): Message {
  return { kind: 'heartbeat-request', from, to: self, term: asTerm(term), commit: asIndex(0), round: 1 }
}

function view (term: number, of: typeof leader | null): LeadershipView {
  return { role: 'follower', term: asTerm(term), leader: of }
}

describe('contact', () => {
  it('is never before a leader was heard, and then as long ago as the clock says that shows more', () => {
    let [monotonicMs, wallMs] = [100, 5_000]
    const contact = new Contact({ monotonicMs: () => monotonicMs, wallMs: () => wallMs })
    expect(contact.sinceMs).toBe(Infinity)
    contact.took(heartbeat(leader, 3), view(3, leader))
    expect(contact.sinceMs).toBe(0)
    monotonicMs += 40
    wallMs += 40
    expect(contact.sinceMs).toBe(40)
    // The machine slept.
    wallMs += 10_000
    expect(contact.sinceMs).toBe(10_040)
    // The wall clock was set back.
    wallMs = 0
    expect(contact.sinceMs).toBe(40)
  })

  it('is no message of another node, of an earlier term, or while no leader is known', () => {
    const contact = new Contact({ monotonicMs: () => 0, wallMs: () => 0 })
    contact.took(heartbeat(other, 3), view(3, leader))
    contact.took(heartbeat(leader, 2), view(3, leader))
    contact.took(heartbeat(leader, 3), view(3, null))
    expect(contact.sinceMs).toBe(Infinity)
  })
})
