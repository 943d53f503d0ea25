import { describe, expect, it } from 'vitest'
import type { ProposalQueueOptions } from '../../../src/raft/client/proposal-queue.ts'
import { ProposalQueue } from '../../../src/raft/client/proposal-queue.ts'
import type { LeadershipView, NodeId, ProposeResult } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { decodeEnvelope } from '../../../src/raft/state/command-envelope.ts'
import { sessionLimits, SessionTable } from '../../../src/raft/state/session-table.ts'
import type { CommandRefusal } from '../../../src/raft/transport/codec.ts'
import type { ForwardAnswer } from '../../../src/raft/transport/codec.ts'
import { NotSentError } from '../../../src/raft/transport/not-sent.ts'
import { until } from '../../support/until.ts'

const appended = { kind: 'appended', term: asTerm(1), firstIndex: asIndex(1), count: 1 } as const
const self = asNodeId('n1')
const peer = asNodeId('n2')

function payloadOf (data: Uint8Array): string {
  const command = decodeEnvelope(data)
  return command.kind === 'command' ? Buffer.from(command.payload).toString() : ''
}

/** A queue over a log that the test applies by hand. */
function setUp (overrides: Partial<ProposalQueueOptions> = {}) {
  const world = {
    leader: self as NodeId | null,
    result: appended as ProposeResult | { readonly kind: 'refused'; readonly reason: CommandRefusal },
    /** Commands that do not start with "free" are refused for want of space. */
    isLow: false,
    log: [] as Uint8Array[],
    forwards: [] as Array<{
      commands: readonly Uint8Array[]
      resolve: (answer: ForwardAnswer) => void
      reject: (cause: unknown) => void
    }>,
    applied: [] as string[],
    /** Applies everything in the log that has not been, as every node does. */
    apply: () => {
      for (const data of world.log.splice(0)) {
        const command = decodeEnvelope(data)
        if (command.kind === 'open') {
          const id = ++lastIndex
          sessions.open(command.ttlMs, { index: id, timeMs: 0 })
          queue.sessionOpened(id, command.nonce)
          continue
        }
        if (command.kind !== 'command') throw new Error('the queue writes no other commands')
        const text = Buffer.from(command.payload).toString()
        const outcome = sessions.check(command.session, command.sequence, command.lowestOpen, {
          index: ++lastIndex,
          timeMs: 0
        })
        if (outcome.kind === 'not-applied') {
          world.applied.push(text)
          sessions.applied(command.session, command.sequence, text.toUpperCase())
          queue.applied(command.session, command.sequence, text.toUpperCase())
        } else if (outcome.kind === 'unknown-session') queue.sessionUnknown(command.session)
      }
    }
  }
  let lastIndex = 0
  const sessions = new SessionTable({ ...sessionLimits, maxSessions: 1 })
  const queue = new ProposalQueue({
    defaultTimeoutMs: 5_000,
    maxPending: 100,
    maxPendingBytes: 10_000,
    maxCommandBytes: 1_000,
    maxBatchCommands: 50,
    maxBatchBytes: 10_000,
    retryAfterMs: 5,
    sessionTtlMs: 60_000,
    nodeId: self,
    node: {
      get view (): LeadershipView {
        return { role: world.leader === self ? 'leader' : 'follower', term: asTerm(1), leader: world.leader }
      },
      propose: (commands) => {
        const result = world.isLow && !commands.every((data) => payloadOf(data).startsWith('free'))
          ? { kind: 'refused', reason: 'low-space' } as const
          : world.result
        if (result.kind === 'appended') world.log.push(...commands)
        return result
      }
    },
    transport: {
      forward: (_to, commands) =>
        new Promise((resolve, reject) => {
          world.forwards.push({ commands, resolve, reject })
        })
    },
    ...overrides
  })
  return { world, queue, sessions }
}

function submit (queue: ProposalQueue, text: string, timeoutMs = 5_000) {
  return queue.submit(Buffer.from(text), { timeoutMs })
}

/** Opens the session, so that the next commands travel at once. */
async function opened (overrides: Partial<ProposalQueueOptions> = {}) {
  const set = setUp(overrides)
  const first = submit(set.queue, 'first')
  await until('the session entry', () => set.world.log.length === 1)
  set.world.apply()
  await until('the first command', () => set.world.log.length === 1)
  set.world.apply()
  expect(await first).toBe('FIRST')
  return set
}

describe('proposal queue', () => {
  it('opens a session, then resolves with the answer of its own application', async () => {
    const { world } = await opened()
    expect(world.applied).toEqual(['first'])
  })

  it('A24: a forward that times out and is repeated through a new leader is applied once', async () => {
    const { world, queue } = await opened()
    world.leader = peer
    const answer = submit(queue, 'once')
    const lost = await until('the forward', () => world.forwards[0])
    // It did arrive: only the answer was lost.
    world.log.push(...lost.commands)
    lost.reject(new Error('no answer'))
    world.leader = self
    queue.leaderChanged()
    await until('the repetition', () => world.log.length === 2)
    world.apply()
    expect(await answer).toBe('ONCE')
    expect(world.applied).toEqual(['first', 'once'])
  })

  it('rejects with RAFT_NO_LEADER, nothing executed, while no leader took the command', async () => {
    const { world, queue } = await opened()
    world.leader = null
    await expect(submit(queue, 'x', 30)).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
  })

  it('rejects with RAFT_NO_LEADER, nothing executed, when every leader refused the command', async () => {
    const asked = { times: 0 }
    const { world, queue } = await opened({
      transport: {
        forward: async () => {
          asked.times++
          return { kind: 'refused', reason: 'not-leader' }
        }
      }
    })
    world.leader = peer
    await expect(submit(queue, 'y', 200)).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    expect(asked.times).toBeGreaterThan(0)
  })

  it('rejects with an unknown outcome once a leader may have appended the command', async () => {
    const { world, queue } = await opened()
    world.leader = peer
    const outcome = expect(submit(queue, 'z', 1_000)).rejects.toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN' })
    const first = await until('the forward', () => world.forwards[0])
    world.leader = self
    queue.leaderChanged()
    await until('the repetition', () => world.log.length === 1)
    // The refusal of the first sending says nothing of the second one.
    first.resolve({ kind: 'refused', reason: 'not-leader' })
    await outcome
  })

  it('rejects with RAFT_NO_LEADER, nothing executed, when the forward was not sent', async () => {
    const { world, queue } = await opened()
    world.leader = peer
    const outcome = expect(submit(queue, 'q', 1_000)).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    const forward = await until('the forward', () => world.forwards[0])
    world.leader = null
    forward.reject(new NotSentError('refused', { cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }) }))
    await outcome
  })

  it('rejects at once when the leader is busy', async () => {
    const { world, queue } = await opened()
    world.result = { kind: 'refused', reason: 'busy' }
    await expect(submit(queue, 'b')).rejects.toMatchObject({ code: 'RAFT_BUSY' })
  })

  it('rejects at once when the leader is low on space, and goes on when there is space again', async () => {
    const { world, queue } = await opened()
    const result = world.result
    world.result = { kind: 'refused', reason: 'low-space' }
    await expect(submit(queue, 'b')).rejects.toMatchObject({
      code: 'RAFT_BUSY',
      message: "Not now: the leader's disk is low on space; nothing was executed"
    })
    world.result = result
    const answer = submit(queue, 'c')
    await until('sent', () => world.log.length === 1)
    world.apply()
    expect(await answer).toBe('C')
  })

  it('sends what may use the reserve apart from the rest, here and through another leader', async () => {
    const usesReserve = (payload: Uint8Array): boolean => Buffer.from(payload).toString().startsWith('free')
    const { world, queue } = await opened({ usesReserve })
    world.isLow = true
    const refused = expect(submit(queue, 'grow')).rejects.toMatchObject({ code: 'RAFT_BUSY' })
    const freed = submit(queue, 'free 1')
    await refused
    await until('sent alone', () => world.log.length === 1)
    world.apply()
    expect(await freed).toBe('FREE 1')

    world.leader = peer
    queue.leaderChanged()
    const again = expect(submit(queue, 'grow too')).rejects.toMatchObject({ code: 'RAFT_BUSY' })
    const freedToo = submit(queue, 'free 2')
    const mixed = await until('the mixed batch', () => world.forwards[0])
    mixed.resolve({ kind: 'refused', reason: 'low-space' })
    await again
    const alone = await until('the batch without the rest', () => world.forwards[1])
    expect(alone.commands).toHaveLength(1)
    alone.resolve({ kind: 'appended' })
    world.log.push(...alone.commands)
    world.apply()
    expect(await freedToo).toBe('FREE 2')
  })

  it('pauses between attempts when the leader refuses what may use the reserve as well', async () => {
    const usesReserve = (payload: Uint8Array): boolean => Buffer.from(payload).toString().startsWith('free')
    const { world, queue } = await opened({ usesReserve, retryAfterMs: 20 })
    const answers = Promise.allSettled([submit(queue, 'grow', 300), submit(queue, 'free', 300)])
    await until('both may be in the log', () => world.log.length === 2)
    // The leader that took them is gone, and this node leads with a disk that is almost full.
    let attempts = 0
    Object.defineProperty(world, 'result', {
      get: () => {
        attempts++
        return { kind: 'refused', reason: 'low-space' }
      }
    })
    queue.leaderChanged()
    const unknown = { status: 'rejected', reason: { code: 'RAFT_OUTCOME_UNKNOWN' } }
    expect(await answers).toMatchObject([unknown, unknown])
    expect(attempts).toBeLessThan(60)
  })

  it('starts a new session when its own was dropped, without losing or repeating a command', async () => {
    const { world, queue, sessions } = await opened()
    sessions.open(60_000, { index: 99, timeMs: 0 })
    const answer = submit(queue, 'again')
    await until('sent in the dropped session', () => world.log.length === 1)
    world.apply()
    await until('the new session entry', () => world.log.length === 1)
    world.apply()
    await until('sent again', () => world.log.length === 1)
    world.apply()
    expect(await answer).toBe('AGAIN')
    expect(world.applied).toEqual(['first', 'again'])
  })

  it('D21: after a restore, a command that the snapshot covers gets its answer, and another is sent again', async () => {
    const { world, queue, sessions } = await opened()
    const applied = submit(queue, 'applied')
    const other = submit(queue, 'other')
    await until('both are sent', () => world.log.length === 2)
    // Both were appended; the snapshot has the first one, and this node is given neither of them.
    world.log.splice(0)
    sessions.check(1, 2, 1, { index: 50, timeMs: 0 })
    sessions.applied(1, 2, 'APPLIED ELSEWHERE')
    queue.restored(sessions)
    expect(await applied).toBe('APPLIED ELSEWHERE')
    await until('sent again', () => world.log.length === 1)
    world.apply()
    expect(await other).toBe('OTHER')
    expect(world.applied).toEqual(['first', 'other'])
  })

  it('after a restore without its session, commands that may have been appended have an unknown outcome, and the others start anew', async () => {
    const { world, queue } = await opened()
    const sent = submit(queue, 'sent').catch((error: unknown) => error)
    await until('it is sent', () => world.log.length === 1)
    world.log.splice(0)
    world.leader = null
    const queued = submit(queue, 'queued')
    queue.restored(new SessionTable())
    expect(await sent).toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN' })
    world.leader = self
    queue.leaderChanged()
    await until('the new session', () => world.log.length === 1)
    world.apply()
    await until('it is sent', () => world.log.length === 1)
    world.apply()
    expect(await queued).toBe('QUEUED')
    expect(world.applied).toEqual(['first', 'queued'])
  })

  it('after a restore with an answer that is gone, the outcome is unknown', async () => {
    const { world, queue, sessions } = await opened()
    const sent = submit(queue, 'sent').catch((error: unknown) => error)
    await until('it is sent', () => world.log.length === 1)
    sessions.check(1, 2, 1, { index: 50, timeMs: 0 })
    sessions.applied(1, 2, 'x'.repeat(sessionLimits.maxAnswerBytesEach + 1))
    queue.restored(sessions)
    expect(await sent).toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN' })
  })

  it('opens its session again when a snapshot covers the entry that opened it', async () => {
    const { world, queue, sessions } = setUp()
    const answer = submit(queue, 'first')
    await until('the session entry', () => world.log.length === 1)
    world.log.splice(0)
    queue.restored(sessions)
    await until('another session entry', () => world.log.length === 1)
    world.apply()
    await until('the command', () => world.log.length === 1)
    world.apply()
    expect(await answer).toBe('FIRST')
  })

  it('refuses commands over its limits at once', async () => {
    const { queue, world } = await opened()
    await expect(queue.submit(new Uint8Array(1_001), {})).rejects.toMatchObject({
      code: 'RAFT_TOO_LARGE',
      statusCode: 413
    })
    world.leader = null
    const waiting = Array.from({ length: 100 }, (_, number) =>
      submit(queue, `w${number}`, 50).catch((error: unknown) => error)
    )
    await expect(submit(queue, 'one too many')).rejects.toMatchObject({ code: 'RAFT_BUSY' })
    await Promise.all(waiting)
    world.leader = self
    const fits = submit(queue, 'fits again')
    await until('sent', () => world.log.length === 1)
    world.apply()
    expect(await fits).toBe('FITS AGAIN')
  })

  it('rejects all waiting commands when it stops, and tells which outcomes are unknown', async () => {
    const { queue, world } = await opened()
    const sent = submit(queue, 'sent').catch((error: unknown) => error)
    await until('sent', () => world.log.length === 1)
    world.leader = null
    const queued = submit(queue, 'queued').catch((error: unknown) => error)
    const reason = new Error('closing')
    queue.stop(reason)
    expect(await sent).toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN', cause: reason })
    expect(await queued).toBe(reason)
    await expect(submit(queue, 'late')).rejects.toBe(reason)
  })
})
