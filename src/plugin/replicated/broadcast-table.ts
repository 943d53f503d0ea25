import type { ApplyContext } from '../../raft/index.ts'
import type { PublishedAnswer } from './answer.ts'
import type { BroadcastCommand } from './command.ts'
import { limits } from './limits.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import { isIndex, isTopic } from './validate.ts'

const part = 'broadcasts'

/** A message that was just applied on this node. */
export interface PublishedMessage {
  readonly topic: string
  readonly from: string
  readonly message: unknown
  /** Log index of the message. */
  readonly index: number
}

/**
 * Where in the log the last message of each topic stands. The messages themselves are not kept: a node hands each of
 * them on when it applies it. A node whose state comes from a snapshot knows by this table whether it has missed any.
 */
export class BroadcastTable implements SnapshotPart {
  readonly #published: (message: PublishedMessage) => void
  /** By topic; the one that was published to last comes last. */
  #last = new Map<string, number>()
  /** All topics that are not known any more had their last message up to here. */
  #forgottenThrough = 0

  constructor (published: (message: PublishedMessage) => void) {
    this.#published = published
  }

  publish ({ topic, from, message }: BroadcastCommand, { index }: ApplyContext): PublishedAnswer {
    this.#last.delete(topic)
    this.#last.set(topic, index)
    if (this.#last.size > limits.maxTopics) this.#forgetOldest()
    this.#published({ topic, from, message, index })
    return { kind: 'published', index }
  }

  #forgetOldest (): void {
    const oldest = this.#last.entries().next()
    if (oldest.done === true) return
    const [topic, index] = oldest.value
    this.#last.delete(topic)
    this.#forgottenThrough = index
  }

  /** No message of this topic stands behind this index of the log; 0 when there was none. */
  lastIndexOf (topic: string): number {
    return this.#last.get(topic) ?? this.#forgottenThrough
  }

  * capture (): Generator<Uint8Array, void, undefined> {
    const last = [...this.#last]
    const forgottenThrough = this.#forgottenThrough
    if (last.length > 0) yield recordOf(forgottenThrough)
    for (const [topic, index] of last) yield recordOf(topic, index)
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const last = new Map<string, number>()
    let forgottenThrough: number | null = null
    let before = 0
    for await (const record of records) {
      const [first, second, ...more] = fieldsOf(textOf(record, part), part)
      if (more.length > 0) throw malformed(part)
      if (forgottenThrough === null) {
        if (!isIndex(first) || second !== undefined) throw malformed(part)
        forgottenThrough = before = first as number
        continue
      }
      const isRecord = isTopic(first) && isIndex(second) && (second as number) > before && !last.has(first as string)
      if (!isRecord || last.size >= limits.maxTopics) throw malformed(part)
      last.set(first as string, second as number)
      before = second as number
    }
    if (forgottenThrough !== null && last.size === 0) throw malformed(part)
    return () => {
      this.#last = last
      this.#forgottenThrough = forgottenThrough ?? 0
    }
  }

  /** All that commands decide, as JSON. */
  toJSON (): unknown { return { last: [...this.#last], forgottenThrough: this.#forgottenThrough } }
}
