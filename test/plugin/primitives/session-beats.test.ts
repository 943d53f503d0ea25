import { describe, expect, it } from 'vitest'
import { splitNotes } from '../../../src/plugin/primitives/note-kinds.ts'
import { ProcessSession } from '../../../src/plugin/primitives/process-session.ts'
import { SessionBeats } from '../../../src/plugin/primitives/session-beats.ts'
import { startSessionExpiry } from '../../../src/plugin/primitives/session-expiry.ts'
import { decodeCommand } from '../../../src/plugin/replicated/command.ts'
import type { NoteListener, PeerNotes } from '../../../src/raft/index.ts'
import type { TestCluster, TestNode } from './support/primitives.ts'
import { startTestCluster } from './support/primitives.ts'

interface BeatingCluster extends TestCluster {
  /** The session of each node. */
  readonly sessions: readonly ProcessSession[]
  /** Nodes that notes do not reach. */
  readonly deaf: Set<string>
  /** Beats in each entry of the log that has any. */
  readonly entries: () => ReadonlyArray<ReadonlyArray<readonly [number, number]>>
}

/** Nodes whose notes arrive at once. */
function startBeatingCluster (size: number): BeatingCluster {
  const test = startTestCluster(size)
  const listeners = new Map<string, NoteListener>()
  const deaf = new Set<string>()
  const notesOf = (from: string): PeerNotes => ({
    send: async (to, note) => {
      if (deaf.has(to)) throw new Error(`${to} hears nothing`)
      listeners.get(to)?.(from, note)
    },
    listen: (listener) => { listeners.set(from, listener) }
  })
  const sessions = test.nodes.map((node: TestNode) => {
    startSessionExpiry(node)
    const beats = new SessionBeats(node, splitNotes(notesOf(node.engine.nodeId)).beats)
    return new ProcessSession({ ...node, beats })
  })
  const entries = () => test.cluster.log.flatMap(({ command }) => {
    const decoded = command === null ? null : decodeCommand(command)
    return decoded?.kind === 'session-keep' ? [decoded.beats] : []
  })
  return { ...test, sessions, deaf, entries }
}

describe('the beats of several processes', () => {
  it('are one entry an interval together, however far apart they began', async () => {
    const { sessions, advance, entries } = startBeatingCluster(5)
    const held = []
    for (const session of sessions) {
      held.push(await session.open())
      await advance(700)
    }
    await advance(10_000)
    const before = entries().length
    await advance(100_000)
    const written = entries().slice(before)
    expect(written.length).toBeGreaterThanOrEqual(29)
    expect(written.length).toBeLessThanOrEqual(30)
    // None is missing in any of them.
    const ids = new Set(held.map(({ id }) => id))
    for (const beats of written) expect(new Set(beats.map(([session]) => session))).toEqual(ids)
    // What is written is young.
    for (const { expiresInMs } of held) expect(expiresInMs).toBeGreaterThan(5_800)
  })

  it('reach the next leader, and go through the log where notes do not arrive', async () => {
    const { sessions, advance, cluster, deaf, node } = startBeatingCluster(3)
    const held = await Promise.all(sessions.map(async (session) => await session.open()))
    for (let round = 0; round < 6; round++) {
      await advance(4_000)
      cluster.lead(round % 3)
    }
    deaf.add('n3')
    await advance(60_000)
    expect(held.map(({ signal }) => signal.aborted)).toEqual([false, false, false])
    expect([...node(0).machine.sessions.all()]).toHaveLength(3)
  })

  it('count only once they are in the log: a process whose beats are gathered and not written loses its session', async () => {
    const { sessions, advance, node } = startBeatingCluster(2)
    const held = await sessions[1]?.open()
    node(0).engine.fate = 'busy'
    await advance(9_800)
    expect(held?.expiresInMs).toBeGreaterThan(0)
    await advance(200)
    expect(held?.signal.reason).toMatchObject({ code: 'RAFT_SESSION_LOST' })
  })

  it('in a form that none has are refused, and nothing is written', async () => {
    const test = startTestCluster()
    let listener: NoteListener = () => {}
    const beats = new SessionBeats(test.node(0), {
      send: async () => {},
      listen: (given) => { listener = given }
    })
    const entries = test.cluster.log.length
    for (const text of ['', '{}', '[7]', '[[7]]', '[[0,1]]', '[[7,-1]]', '[[7,1,1]]', '[["7",1]]']) {
      expect(() => { listener('n2', Buffer.from(text)) }).toThrow('beats of an unknown form')
    }
    await test.advance(5_000)
    beats.close()
    expect(test.cluster.log).toHaveLength(entries)
  })
})
