import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { Clock } from '../../raft/index.ts'
import { CompactedError } from '../../raft/index.ts'
import type { Timers } from '../../raft/internal.ts'
import { errorText } from '../../raft/internal.ts'
import type { MapChange, MapFollower } from '../replicated/map-history.ts'
import { definedHeaders } from '../routes/answers.ts'

/** What event streams may cost. Durations in milliseconds; those of clients are noticed at the next beat. */
export const streamLimits = {
  /** How often a stream says that it is alive, and up to which revision it has shown everything. */
  beatMs: 15_000,
  /** How long a client may read nothing of what is sent to it. */
  maxStalledMs: 60_000,
  /** How long a stream may last: its client comes back, and is judged anew. */
  maxStreamMs: 3_600_000
} as const

/** After how many milliseconds a client that lost its stream comes back. */
const retryMs = 1_000
/** Streams that are written to in one turn of the event loop: heartbeats come in between. */
const streamsOfTurn = 256
/** Texts of changes that are kept while clients get them. */
const maxTexts = 64

/** One client that follows keys. */
interface ChangeStream {
  readonly follower: MapFollower
  readonly response: ServerResponse
  readonly sinceMs: number
  /** Since when the client has to read before it gets more; null: it gets what there is. */
  stalledSinceMs: number | null
}

/**
 * Changes of maps as event streams over HTTP (WHATWG HTML, server-sent events). The id of an event is the revision of
 * its change: a client that comes back shows the last one, and goes on behind it, on any node.
 *
 * A stream is a place in the history of the node and what its socket buffers. One text is made of a change, however
 * many clients get it.
 */
export class ChangeStreams {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #streams = new Set<ChangeStream>()
  readonly #woken = new Set<ChangeStream>()
  /** Of changes that several clients get in the same turns. */
  readonly #texts = new Map<MapChange, Buffer>()
  #isWriting = false
  #isClosed = false
  #cancelBeat: () => void = () => {}

  constructor (clock: Clock, timers: Timers) {
    this.#clock = clock
    this.#timers = timers
  }

  /** Number of open streams. */
  get size (): number { return this.#streams.size }

  /** Answers with the changes that the follower gives, until the client leaves, the node closes or it is too slow. */
  open (reply: FastifyReply, follower: MapFollower): void {
    reply.hijack()
    const response = reply.raw
    response.writeHead(200, {
      ...definedHeaders(reply),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      // nginx keeps an answer until it has enough of it, unless told.
      'x-accel-buffering': 'no'
    })
    if (reply.request.method === 'HEAD' || this.#isClosed) {
      follower.end()
      response.end()
      return
    }
    const stream: ChangeStream = { follower, response, sinceMs: this.#clock.monotonicMs(), stalledSinceMs: null }
    this.#streams.add(stream)
    if (this.#streams.size === 1) this.#beatLater()
    response.on('close', () => { this.#forget(stream) })
    response.on('error', () => { this.#forget(stream) })
    response.on('drain', () => {
      stream.stalledSinceMs = null
      this.#wake(stream)
    })
    this.#write(stream, `retry: ${retryMs}\nid: ${follower.revision}\n\n`)
    this.#wake(stream)
  }

  /** Ends all streams, and opens no more: a server that closes waits for its answers. */
  close (): void {
    this.#isClosed = true
    for (const stream of [...this.#streams]) this.#end(stream)
  }

  #wake (stream: ChangeStream): void {
    this.#woken.add(stream)
    this.#writeLater()
  }

  #writeLater (): void {
    if (this.#woken.size === 0 || this.#texts.size > maxTexts) this.#texts.clear()
    if (this.#isWriting || this.#woken.size === 0) return
    this.#isWriting = true
    this.#timers.soon(() => {
      this.#isWriting = false
      let left = streamsOfTurn
      for (const stream of this.#woken) {
        if (left-- === 0) break
        this.#woken.delete(stream)
        this.#writeChanges(stream)
      }
      this.#writeLater()
    })
  }

  /** Writes what there is, as far as the client reads it. */
  #writeChanges (stream: ChangeStream): void {
    try {
      while (stream.stalledSinceMs === null && this.#streams.has(stream)) {
        const change = stream.follower.next()
        if (change === null) {
          stream.follower.wait(() => { this.#wake(stream) })
          return
        }
        this.#write(stream, this.#textOf(change))
      }
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
      this.#write(stream, `event: compacted\ndata: ${errorText(error)}\n\n`)
      this.#end(stream)
    }
  }

  #write (stream: ChangeStream, text: string | Buffer): void {
    if (!stream.response.write(text)) stream.stalledSinceMs ??= this.#clock.monotonicMs()
  }

  #textOf (change: MapChange): Buffer {
    const known = this.#texts.get(change)
    if (known !== undefined) return known
    const events = change.events.map(({ kind, key, valueJson }) =>
      `{"kind":"${kind}","key":${JSON.stringify(key)}${kind === 'set' ? `,"value":${valueJson}` : ''}}`)
    const data = `{"revision":${change.revision},"events":[${events.join()}]}`
    const text = Buffer.from(`id: ${change.revision}\ndata: ${data}\n\n`, 'utf8')
    this.#texts.set(change, text)
    return text
  }

  #beatLater (): void {
    this.#cancelBeat()
    this.#cancelBeat = this.#timers.after(streamLimits.beatMs, () => {
      for (const stream of [...this.#streams]) this.#beat(stream)
      if (this.#streams.size > 0) this.#beatLater()
    }, { background: true })
  }

  #beat (stream: ChangeStream): void {
    const nowMs = this.#clock.monotonicMs()
    const { stalledSinceMs, sinceMs, follower, response } = stream
    if (stalledSinceMs !== null) {
      if (nowMs - stalledSinceMs >= streamLimits.maxStalledMs) response.destroy()
    } else if (nowMs - sinceMs >= streamLimits.maxStreamMs) this.#end(stream)
    // Without data: a browser keeps the id, and shows nothing to the page.
    else this.#write(stream, `id: ${follower.revision}\n\n`)
  }

  #end (stream: ChangeStream): void {
    this.#forget(stream)
    stream.response.end()
  }

  #forget (stream: ChangeStream): void {
    stream.follower.end()
    this.#woken.delete(stream)
    if (this.#streams.delete(stream) && this.#streams.size === 0) this.#cancelBeat()
  }
}
