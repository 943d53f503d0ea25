import { schemaFaults, Type } from '../../gateway/internal.ts'
import { FencedError, InvalidOptionsError, TooLargeError } from '../../raft/index.ts'
import type { MapTransactCommand } from '../replicated/command.ts'
import { encodeCommand } from '../replicated/command.ts'
import { limits } from '../replicated/limits.ts'
import type { MapComparison, MapWrite } from '../replicated/map-transaction.ts'
import type { WriteOptions } from './conditions.ts'
import { conditionsOf } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import { checkKey, checkValue } from './map-checks.ts'
import { proposeToMap } from './propose.ts'

/**
 * What a transaction asks of one key: that it is at a `revision` (0: it does not exist), that it `exists` or not, or
 * that it has a `value`, in which the order of members makes no difference. A key that does not exist has no value.
 */
export type TransactionComparison = MapComparison

/** One write of a transaction. */
export type TransactionWrite = MapWrite

/** A transaction: what it asks, and what it writes. At most 128 comparisons, and 128 writes in each branch. */
export interface TransactionOptions extends WriteOptions {
  /** All of them have to hold for the transaction to succeed; none always succeeds. */
  readonly compare?: readonly TransactionComparison[] | undefined
  /** What is written when it succeeds; no key twice. */
  readonly then?: readonly TransactionWrite[] | undefined
  /** What is written when it does not; no key twice. */
  readonly else?: readonly TransactionWrite[] | undefined
}

/** What became of a transaction. */
export interface TransactionResult {
  /** Whether all comparisons held: the writes of `then` were made, and else those of `else`. */
  readonly succeeded: boolean
  /** Log index of the transaction: the revision of every key that it wrote. */
  readonly revision: number
  /** At which revision each of the compared keys was, 0 for one that did not exist. */
  readonly revisions: readonly number[]
}

const closed = { additionalProperties: false }
const listOptions = { maxItems: limits.maxTransactionSteps }

/**
 * The form of a transaction, whose steps name their keys as `key` says. Keys and values themselves are checked apart.
 */
export function transactionSchema<Key extends Parameters<typeof Type.Object>[0]> (key: Key) {
  const value = Type.Unknown()
  const revision = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
  const compare = Type.Union([
    Type.Object({ ...key, revision }, closed),
    Type.Object({ ...key, exists: Type.Boolean() }, closed),
    Type.Object({ ...key, value }, closed)
  ])
  const write = Type.Union([
    Type.Object({ kind: Type.Literal('set'), ...key, value }, closed),
    Type.Object({ kind: Type.Literal('delete'), ...key }, closed)
  ])
  return {
    compare: Type.Optional(Type.Array(compare, listOptions)),
    then: Type.Optional(Type.Array(write, listOptions)),
    else: Type.Optional(Type.Array(write, listOptions))
  }
}

const ownSchema = Type.Object(transactionSchema({
  map: Type.String({ minLength: 1, maxLength: limits.maxMapNameLength }),
  key: Type.String()
}), closed)

/**
 * Makes the writes of one branch, at one place of the log: all of them or none.
 *
 * Rejects with `RAFT_INVALID_OPTIONS` (another form, a key twice in a branch, a value that JSON does not carry),
 * `RAFT_TOO_LARGE` (a key or a value over its limit, all of it over 1 MiB, full maps), `RAFT_FENCED`,
 * `RAFT_IDEMPOTENCY_CONFLICT`, and as every write does.
 */
export async function transact (context: PrimitiveContext, options: TransactionOptions): Promise<TransactionResult> {
  const { fence, idempotencyKey, timeoutMs, signal, ...transaction } = options
  const { compare = [], then = [], else: otherwise = [], ...unknown } = transaction
  const faults = schemaFaults(ownSchema, { compare, then, else: otherwise, ...unknown })
  if (faults.length > 0) {
    throw new InvalidOptionsError(faults.map(({ pointer, message }) => `transaction${pointer} ${message}`).join('; '))
  }
  for (const step of [...compare, ...then, ...otherwise]) {
    checkKey(step.key)
    if ('value' in step) checkValue(step.value)
  }
  checkOnce('then', then)
  checkOnce('else', otherwise)
  const conditions = conditionsOf(context, { fence, idempotencyKey })
  const command: MapTransactCommand = { kind: 'map-transact', compare, then, else: otherwise, ...conditions }
  if (encodeCommand(command).byteLength > limits.maxCommandBytes) {
    throw new TooLargeError(`The transaction is larger than ${limits.maxCommandBytes} bytes`)
  }
  const answer = await proposeToMap(context, command, { timeoutMs, signal })
  if (answer.kind === 'fenced') throw new FencedError(fence)
  if (answer.kind !== 'transacted') throw new TypeError(`unexpected answer to a transaction: ${answer.kind}`)
  const { succeeded, revision, revisions } = answer
  return { succeeded, revision, revisions }
}

function checkOnce (branch: string, writes: readonly TransactionWrite[]): void {
  const seen = new Set<string>()
  for (const { map, key } of writes) {
    const named = JSON.stringify([map, key])
    if (seen.has(named)) throw new InvalidOptionsError(`transaction/${branch} writes "${key}" of "${map}" twice`)
    seen.add(named)
  }
}
