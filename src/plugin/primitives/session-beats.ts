import type { PeerNotes, WaitOptions } from '../../raft/index.ts'
import { MalformedMessageError } from '../../raft/index.ts'
import { parseArray } from '../../raft/internal.ts'
import type { SessionKeepCommand } from '../replicated/command.ts'
import { limits } from '../replicated/limits.ts'
import { isBeats } from '../replicated/validate.ts'
import type { Beats, PrimitiveContext } from './context.ts'
import { proposeToSession } from './propose.ts'
import { inBackground } from './stopwatch.ts'

/** Entries with beats that are written in the time to live of a session, whatever the number of sessions. */
const entriesPerTtl = 3
/** Beats that each session sends in that time: more than are written, so that each entry has one of it. */
const beatsPerTtl = 4
/** How long a beat waits for others at least, as a part of the time to live. */
const gathersPerTtl = 24
/** The time to live of a session that this node does not know yet, in milliseconds. */
const unknownTtlMs = limits.minSessionTtlMs

/**
 * Beats of the sessions of all processes. They go to the node that leads, which holds them back for a while and writes
 * them together: one entry of the log an interval, whatever the number of processes. A beat that comes meanwhile takes
 * the place of an older one of its session, so that what is written is young.
 *
 * A beat counts when it is in the log and not before. What did not arrive may be sent again at any time, and in any
 * way: only the order of a session's beats counts.
 */
export class SessionBeats implements Beats {
  readonly #context: PrimitiveContext
  readonly #notes: PeerNotes | null
  /** The last beat of each session that is to be written. */
  #gathered = new Map<number, number>()
  #writtenAtMs = -Infinity
  #write: { readonly atMs: number, readonly cancel: () => void } | null = null

  /** `notes` reaches other nodes; null where there are none: each beat is an entry then. */
  constructor (context: PrimitiveContext, notes: PeerNotes | null) {
    this.#context = context
    this.#notes = notes
    notes?.listen((_from, note) => { this.#take(note) })
  }

  pauseMs (ttlMs: number): number {
    return ttlMs / (this.#notes === null ? entriesPerTtl : beatsPerTtl)
  }

  async send (session: number, beat: number, wait: WaitOptions): Promise<void> {
    const leader = this.#notes === null ? null : this.#context.engine.leader()
    if (leader === null || this.#notes === null) {
      await this.#propose([[session, beat]], wait)
      return
    }
    if (leader.id === this.#context.engine.status().nodeId) {
      this.#gather(session, beat)
      return
    }
    try {
      await this.#notes.send(leader.id, Buffer.from(JSON.stringify([[session, beat]])))
    } catch (error) {
      // It is gone, or does not gather. The log finds the next one.
      this.#context.logger.debug({ err: error, session, to: leader.id }, 'a beat of the session goes through the log')
      await this.#propose([[session, beat]], wait)
    }
  }

  close (): void {
    this.#write?.cancel()
    this.#write = null
  }

  #take (note: Uint8Array): void {
    const beats = parseArray(Buffer.from(note).toString('utf8'))
    if (!isBeats(beats)) throw new MalformedMessageError('beats of an unknown form')
    for (const [session, beat] of beats as SessionKeepCommand['beats']) this.#gather(session, beat)
  }

  /** Leadership may move meanwhile: what is written here reaches the next leader all the same. */
  #gather (session: number, beat: number): void {
    const known = this.#gathered.get(session)
    if (known === undefined && this.#gathered.size >= limits.maxOwnerSessions) return
    this.#gathered.set(session, Math.max(beat, known ?? 0))
    const ttlMs = this.#context.machine.sessions.get(session)?.ttlMs ?? unknownTtlMs
    const nowMs = this.#context.clock.monotonicMs()
    this.#writeAt(Math.max(nowMs + ttlMs / gathersPerTtl, this.#writtenAtMs + ttlMs / entriesPerTtl), nowMs)
  }

  #writeAt (atMs: number, nowMs: number): void {
    if (this.#write !== null && this.#write.atMs <= atMs) return
    this.#write?.cancel()
    const cancel = inBackground(this.#context, atMs - nowMs, () => {
      this.#write = null
      this.#writtenAtMs = this.#context.clock.monotonicMs()
      const beats = [...this.#gathered]
      this.#gathered = new Map()
      this.#propose(beats).catch((error: unknown) => {
        this.#context.logger.debug({ err: error, sessions: beats.length }, 'beats of sessions were not written')
      })
    })
    this.#write = { atMs, cancel }
  }

  async #propose (beats: SessionKeepCommand['beats'], wait: WaitOptions = {}): Promise<void> {
    await proposeToSession(this.#context, { kind: 'session-keep', beats }, wait)
  }
}
