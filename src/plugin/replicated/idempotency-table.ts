import { createHash } from 'node:crypto'
import type { ApplyContext } from '../../raft/index.ts'
import type { AppliedAnswer, FencedAnswer, MapAnswer, RefusedAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import type { MachineCommand, MapCommand } from './command.ts'
import { limits } from './limits.ts'
import type { RecentEntry } from './recent-table.ts'
import { RecentTable } from './recent-table.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import { isIdempotencyKey, isIndex } from './validate.ts'

/** Record of a command that carried an idempotency key. */
type KeptAnswer = Exclude<MapAnswer | AppliedAnswer, RefusedAnswer | FencedAnswer>
type OnceCommand = MapCommand | MachineCommand

interface Remembered {
  readonly fingerprint: string
  /** Null for an answer that was too large to be kept. */
  readonly answer: KeptAnswer | null
}

/**
 * Applies commands that carry an idempotency key at most once, across clients and nodes: later commands with the key
 * get the first answer, and a different command under the same key is refused.
 *
 * The fencing token is not part of what a command asks for: a new leader that repeats the work of the last one under
 * the same key gets the first answer. Refused and fenced commands changed nothing and are not remembered, so that the
 * key may be tried again.
 */
export class IdempotencyTable implements SnapshotPart {
  #recent = new RecentTable<Remembered>(bounds)

  /** Runs the command unless its key has been seen; then answers as the first time. */
  applyOnce<A extends KeptAnswer | RefusedAnswer | FencedAnswer>(
    command: OnceCommand,
    context: ApplyContext,
    execute: () => A
  ): A | RefusedAnswer {
    const key = command.idempotencyKey
    if (key === undefined) return execute()
    const fingerprint = fingerprintOf(command)
    const first = this.#recent.get(key, context)
    if (first === undefined) {
      const answer = execute()
      if (answer.kind !== 'refused' && answer.kind !== 'fenced') {
        this.#recent.add(key, { fingerprint, answer: isTooLarge(answer) ? null : answer }, context)
      }
      return answer
    }
    // The fingerprint covers the kind: the answer is one to such a command.
    if (first.fingerprint === fingerprint) {
      return (
        (first.answer as A | null) ??
        refuse(
          'RAFT_TOO_LARGE',
          'The command with this idempotency key was applied before; its answer was too large to be kept'
        )
      )
    }
    return refuse('RAFT_IDEMPOTENCY_CONFLICT', 'The idempotency key was used before for a different command')
  }

  get size (): number {
    return this.#recent.size
  }

  capture (): Iterable<Uint8Array> {
    return encodeRecords(this.#recent.entries())
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const entries: RecentEntry<Remembered>[] = []
    for await (const record of records) entries.push(readRecord(textOf(record, part)))
    const recent = RecentTable.from(entries, bounds)
    if (recent === null) throw malformed(part)
    return () => {
      this.#recent = recent
    }
  }

  /** The whole content in log order, as JSON. */
  toJSON (): unknown {
    return this.#recent.toJSON()
  }
}

const part = 'idempotency keys'
const answerKinds = new Set<string>(['written', 'mismatch', 'deleted', 'machine-answer'] satisfies KeptAnswer['kind'][])
const bounds = { maxKeys: limits.maxIdempotencyKeys, windowMs: limits.idempotencyWindowMs }

/** A hash and not the command: ten thousand values of a mebibyte each must not stay in memory. */
function fingerprintOf (command: OnceCommand): string {
  const asked =
    command.kind === 'machine'
      ? [command.kind, command.machine, command.command]
      : [
          command.kind,
          command.map,
          command.key,
          command.ifRevision ?? null,
          command.kind === 'map-set' ? command.value : null
        ]
  return createHash('sha256').update(JSON.stringify(asked)).digest('base64')
}

function * encodeRecords (entries: readonly RecentEntry<Remembered>[]): Generator<Uint8Array, void, undefined> {
  for (const { key, timeMs, value } of entries) yield recordOf(key, timeMs, value.fingerprint, value.answer)
}

function readRecord (text: string): RecentEntry<Remembered> {
  const [key, timeMs, fingerprint, answer, ...more] = fieldsOf(text, part)
  const isRecord =
    isIdempotencyKey(key) &&
    isIndex(timeMs) &&
    typeof fingerprint === 'string' &&
    isAnswer(answer) &&
    more.length === 0
  if (!isRecord) throw malformed(part)
  return { key: key as string, timeMs: timeMs as number, value: { fingerprint, answer } }
}

function isTooLarge (answer: KeptAnswer): boolean {
  return answer.kind === 'machine-answer' && (answer.answerJson?.length ?? 0) > limits.maxRememberedAnswerLength
}

/** What such a command answers, and nothing that is only called so. */
function isAnswer (value: unknown): value is KeptAnswer | null {
  if (value === null) return true
  return (
    typeof value === 'object' &&
    Object.hasOwn(value, 'kind') &&
    answerKinds.has(String((value as { kind: unknown }).kind))
  )
}
