import { describe, expect, it } from 'vitest'
import { traceSeed } from './run-seed.ts'

interface TraceEvent {
  readonly name: string
  readonly nid: string
  readonly state: { readonly term: number; readonly vote: string; readonly commit: number }
  readonly role: string
  readonly log: number
  readonly conf: readonly [readonly string[], readonly string[]]
  readonly msg?: Readonly<
    Record<'type' | 'from' | 'to' | 'vote', string> &
      Record<'term' | 'entries' | 'logTerm' | 'index' | 'commit' | 'rejectHint', number> & { reject: boolean }
  >
}

async function traceOf (seed: number, withCrashes: boolean) {
  const events: TraceEvent[] = []
  const report = await traceSeed(seed, withCrashes, (line) => {
    const parsed = JSON.parse(line) as { readonly tag: string, readonly event: TraceEvent }
    expect(parsed.tag).toBe('trace')
    events.push(parsed.event)
  })
  return { events, report }
}

const messageTypes: Readonly<Record<string, readonly string[]>> = {
  SendRequestVoteRequest: ['MsgVote'],
  ReceiveRequestVoteRequest: ['MsgVote'],
  SendRequestVoteResponse: ['MsgVoteResp'],
  ReceiveRequestVoteResponse: ['MsgVoteResp'],
  SendAppendEntriesRequest: ['MsgApp', 'MsgHeartbeat', 'MsgSnap'],
  ReceiveAppendEntriesRequest: ['MsgApp', 'MsgHeartbeat', 'MsgSnap'],
  SendAppendEntriesResponse: ['MsgAppResp', 'MsgHeartbeatResp'],
  ReceiveAppendEntriesResponse: ['MsgAppResp', 'MsgHeartbeatResp']
}
const plainEvents = ['InitState', 'BecomeFollower', 'BecomeCandidate', 'BecomeLeader', 'Replicate', 'Commit', 'Ready']

function keyOf (event: TraceEvent): string {
  return JSON.stringify(event.msg)
}

const traces = await Promise.all([traceOf(1, false), traceOf(2, true)])

describe.each([
  ['without crashes', 0, false],
  ['with crashes and restarts', 1, true]
] as const)('the protocol trace %s', (_name, position, withCrashes) => {
  const { events, report } = traces[position]
  const named = (name: string): TraceEvent[] => events.filter((event) => event.name === name)

  it('shows three nodes, an election under load, and at least 1,000 events', () => {
    expect(events.length).toBeGreaterThan(1_000)
    expect(report.elections).toBeGreaterThan(1)
    expect(named('BecomeLeader')).toHaveLength(report.elections)
    expect(named('Replicate').length).toBeGreaterThan(100)
    const secondLeader = events.indexOf(named('BecomeLeader')[1] ?? (events[0] as TraceEvent))
    expect(events.slice(0, secondLeader).some(({ name }) => name === 'Commit')).toBe(true)
    expect(events.slice(secondLeader).some(({ name }) => name === 'Commit')).toBe(true)
    if (withCrashes) expect(named('InitState').length).toBeGreaterThan(3)
    else expect(named('InitState')).toHaveLength(3)
  })

  it('has the fields of the format, and a message in every event that needs one', () => {
    for (const event of events) {
      expect(Object.keys(event)).toEqual([
        'name',
        'nid',
        'state',
        'role',
        'log',
        'conf',
        ...(event.msg === undefined ? [] : ['msg'])
      ])
      expect(event.conf).toEqual([['n1', 'n2', 'n3'], []])
      expect(['StateFollower', 'StateCandidate', 'StateLeader']).toContain(event.role)
      expect(['0', 'n1', 'n2', 'n3']).toContain(event.state.vote)
      if (event.msg === undefined) {
        expect(plainEvents).toContain(event.name)
        continue
      }
      expect(messageTypes[event.name]).toContain(event.msg.type)
      expect(Object.keys(event.msg)).toEqual([
        'type',
        'term',
        'from',
        'to',
        'entries',
        'logTerm',
        'index',
        'commit',
        'vote',
        'reject',
        'rejectHint'
      ])
      expect(event.nid).toBe(event.name.startsWith('Send') ? event.msg.from : event.msg.to)
    }
  })

  it('is in causal order: nothing is received before it was sent and its sender was ready', () => {
    const waiting = new Map<string, string[]>()
    const onItsWay = new Set<string>()
    for (const event of events) {
      const held = waiting.get(event.nid) ?? []
      if (event.name === 'InitState') waiting.set(event.nid, [])
      else if (event.name.startsWith('Send')) waiting.set(event.nid, [...held, keyOf(event)])
      else if (event.name === 'Ready') {
        for (const key of held) onItsWay.add(key)
        waiting.set(event.nid, [])
      } else if (event.name.startsWith('Receive')) {
        expect(onItsWay, `${event.name} on ${event.nid}`).toContain(keyOf(event))
      }
    }
  })

  it('has no gap: terms and commit indexes of a running node never fall, and logs grow entry by entry on a leader', () => {
    const last = new Map<string, TraceEvent>()
    const durableTerms = new Map<string, number>()
    for (const event of events) {
      const before = last.get(event.nid)
      last.set(event.nid, event)
      if (event.name === 'Ready') durableTerms.set(event.nid, event.state.term)
      if (event.name === 'InitState') {
        expect(event.state.term).toBe(durableTerms.get(event.nid) ?? 0)
        continue
      }
      expect(before).toBeDefined()
      expect(event.state.term).toBeGreaterThanOrEqual(before?.state.term ?? 0)
      expect(event.state.commit).toBeGreaterThanOrEqual(before?.state.commit ?? 0)
      expect(event.state.commit).toBeLessThanOrEqual(event.log)
      if (event.name === 'Replicate') expect(event.log).toBe((before?.log ?? 0) + 1)
      if (event.name === 'Commit') expect(event.state.commit).toBeGreaterThan(before?.state.commit ?? 0)
      if (event.role === 'StateLeader' && before?.role !== 'StateLeader') expect(event.name).toBe('BecomeLeader')
      if (event.role === 'StateCandidate' && before?.role === 'StateFollower') {
        expect(event.name).toBe('BecomeCandidate')
      }
      if (event.state.term !== before?.state.term) expect(event.name).toMatch(/^Become/)
    }
  })
})
