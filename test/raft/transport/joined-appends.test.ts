import { describe, expect, it } from 'vitest'
import type { AppendRequest, Entry, Message } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm, defaultCoreLimits, RaftCore, stableConfiguration } from '../../../src/raft/core/index.ts'
import { Random } from '../../../src/raft/core/random.ts'
import { decodeMessages, encodeAppends } from '../../../src/raft/transport/codec.ts'

const [leader, follower] = [asNodeId('n1'), asNodeId('n2')]
const configuration = stableConfiguration([leader, follower].map((id) => ({ id, address: '' })))
const now = { monotonicMs: 0, wallMs: 0 }

function entry (index: number, term: number): Entry {
  return { kind: 'command', index: asIndex(index), term: asTerm(term), timeMs: 0, data: Uint8Array.of(index) }
}

function append (prevIndex: number, prevTerm: number, entries: readonly Entry[], commit: number): AppendRequest {
  const head = { from: leader, to: follower, term: asTerm(3), kind: 'append-request' } as const
  return { ...head, prevIndex: asIndex(prevIndex), prevTerm: asTerm(prevTerm), entries, commit: asIndex(commit) }
}

/** Gives messages to a follower whose log holds these entries. */
function receive (held: readonly Entry[], messages: readonly Message[], term = 2) {
  const core = new RaftCore({
    id: follower,
    configuration,
    heartbeatTicks: 1,
    leaseTicks: 3,
    electionTicksMin: 10,
    electionTicksMax: 20,
    seed: 1,
    limits: defaultCoreLimits
  }, { hardState: { term: asTerm(term), vote: null, commit: asIndex(0) }, entries: held })
  const violations = messages.map((message) => core.receive(message, now))
  const { write, messages: atOnce, deferred, committed } = core.takeOutput()
  const answers = [...atOnce, ...deferred].filter((message) => message.kind === 'append-response')
  const entries = write?.kind === 'append' ? write.entries : []
  return { violations, entries, committed, lastIndex: core.lastIndex, commitIndex: core.commitIndex, answers }
}

function joined (appends: readonly AppendRequest[]): readonly Message[] {
  const address = { clusterId: 'c', from: leader, to: follower, incarnation: 'a', expectedIncarnation: 'b' }
  return decodeMessages(encodeAppends(address, appends, new Uint8Array(0))).messages
}

/** Draws numbers below a bound, the same ones for the same seed. */
function drawer (seed: number): (bound: number) => number {
  const random = new Random(seed)
  return (bound) => random.between(0, bound - 1)
}

function resultOf (answer: Message | undefined): object {
  return answer?.kind === 'append-response' ? answer.result : {}
}

function isAccepted (answer: Message | undefined): boolean {
  return answer?.kind === 'append-response' && answer.result.kind === 'accepted'
}

/** What a leader sends while a request is under way: two batches, and the commit index after each. */
const gathered = [
  append(2, 1, [entry(3, 2), entry(4, 3)], 2),
  append(4, 3, [], 3),
  append(4, 3, [entry(5, 3), entry(6, 3)], 3),
  append(6, 3, [], 5)
]

describe('appends that travel as one', () => {
  it.each([
    ['that ends before them', [entry(1, 1), entry(2, 1)]],
    ['that has some of them', [entry(1, 1), entry(2, 1), entry(3, 2)]],
    ['that contradicts them', [entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1), entry(5, 1), entry(6, 1), entry(7, 1)]]
  ] as const)('do to a log %s what they would do one by one', (_what, held) => {
    const [one, many] = [receive(held, joined(gathered)), receive(held, gathered)]
    expect(joined(gathered)).toHaveLength(1)
    expect({ ...one, violations: [], answers: [] }).toEqual({ ...many, violations: [], answers: [] })
    expect(one).toMatchObject({ violations: [null], lastIndex: 6, commitIndex: 5 })
    // One answer, with what the last of theirs says.
    expect(one.answers).toMatchObject([{ result: { kind: 'accepted', matchIndex: 6 } }])
    expect(many.answers.at(-1)).toMatchObject({ result: { kind: 'accepted', matchIndex: 6 } })
  })

  it('do so to logs of any past, however they are cut (1,000 of them)', () => {
    for (let seed = 1; seed <= 1_000; seed++) {
      const below = drawer(seed)
      // Odd terms are of this leader's log, even ones of others: logs that part never agree again.
      const terms = Array.from({ length: 4 + below(8) }, () => 1 + 2 * below(3)).sort((a, b) => a - b)
      const sent = terms.map((term, at) => entry(at + 1, term))
      const agreed = below(sent.length + 1)
      const tail = Array.from({ length: below(6) }, () => 2 + 2 * below(3)).sort((a, b) => a - b)
        .filter((term) => term > (terms[agreed - 1] ?? 0))
      const held = [...sent.slice(0, agreed), ...tail.map((term, at) => entry(agreed + at + 1, term))]
      const appends: AppendRequest[] = []
      for (let prev = below(sent.length), commit = 0; prev < sent.length;) {
        const end = Math.min(sent.length, prev + below(4))
        commit = Math.min(end, commit + below(3))
        appends.push({ ...append(prev, terms[prev - 1] ?? 0, sent.slice(prev, end), commit), term: asTerm(9) })
        prev = end
      }
      const [one, many] = [receive(held, joined(appends), 6), receive(held, appends, 6)]
      expect(joined(appends), `seed ${seed}`).toHaveLength(1)
      expect({ ...one, violations: [], answers: [] }, `seed ${seed}`).toEqual({ ...many, violations: [], answers: [] })
      expect(new Set([...one.violations, ...many.violations]), `seed ${seed}`).toEqual(new Set([null]))
      const [first, last] = [many.answers[0], many.answers.at(-1)]
      if (isAccepted(first)) expect(one.answers[0], `seed ${seed}`).toMatchObject({ result: resultOf(last) })
      else expect(one.answers, `seed ${seed}`).toEqual([first])
    }
  })

  it('are refused with what the first of them would be: the leader looks further back', () => {
    const held = [entry(1, 1)]
    const [one, many] = [receive(held, joined(gathered)), receive(held, gathered)]
    expect(one.answers).toEqual(many.answers.slice(0, 1))
    expect(one.answers).toMatchObject([{ prevIndex: 2, result: { kind: 'rejected', hintIndex: 1 } }])
    expect(one).toMatchObject({ entries: [], lastIndex: 1, commitIndex: 0 })
  })
})
