import { schemaFaults, Type } from '../../gateway/internal.ts'
import type { WaitOptions } from '../../raft/index.ts'
import { FencedError, InvalidOptionsError, SessionLostError, TooLargeError } from '../../raft/index.ts'
import type { MapTransactCommand } from '../replicated/command.ts'
import { encodeCommand } from '../replicated/command.ts'
import { limits } from '../replicated/limits.ts'
import type { MapComparison, MapWrite } from '../replicated/map-transaction.ts'
import type { WriteOptions } from './conditions.ts'
import { conditionsOf } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import type { KeyEndOptions } from './key-end.ts'
import { givenEnd, keyEndOf, keyEndSchema } from './key-end.ts'
import { checkKey, checkValue } from './map-checks.ts'
import { proposeToMap } from './propose.ts'

/**
 * What a transaction asks of one key: that it is at a `revision` (0: it does not exist), that it `exists` or not, or
 * that it has a `value`, in which the order of members makes no difference. A key that does not exist has no value.
 */
export type TransactionComparison = MapComparison

/** One write of a transaction. How a key ends by itself is said anew with each write, as in `set` of a map. */
export type TransactionWrite =
  | ({ readonly kind: 'set', readonly map: string, readonly key: string, readonly value: unknown } & KeyEndOptions)
  | { readonly kind: 'delete', readonly map: string, readonly key: string }

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
 * The form of a transaction, whose steps name their keys as `key` says and end them as `end` does. Keys and values
 * themselves are checked apart.
 */
export function transactionSchema<
  Key extends Parameters<typeof Type.Object>[0],
  End extends Parameters<typeof Type.Object>[0]
> (key: Key, end: End) {
  const value = Type.Unknown()
  const revision = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
  const compare = Type.Union([
    Type.Object({ ...key, revision }, closed),
    Type.Object({ ...key, exists: Type.Boolean() }, closed),
    Type.Object({ ...key, value }, closed)
  ])
  const write = Type.Union([
    Type.Object({ kind: Type.Literal('set'), ...key, value, ...end }, closed),
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
}, { ...keyEndSchema, ephemeral: Type.Optional(Type.Boolean()) }), closed)

/**
 * Makes the writes of one branch, at one place of the log: all of them or none.
 *
 * Rejects with `RAFT_INVALID_OPTIONS` (another form, a key twice in a branch, a value that JSON does not carry),
 * `RAFT_TOO_LARGE` (a key or a value over its limit, all of it over 1 MiB, full maps), `RAFT_FENCED`,
 * `RAFT_IDEMPOTENCY_CONFLICT`, `RAFT_SESSION_LOST` (the session that is to own a key is over), and as every write does.
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
  const { writes, wait } = await withEnds(context, [...then, ...otherwise], { timeoutMs, signal })
  const command: MapTransactCommand = {
    kind: 'map-transact',
    compare,
    then: writes.slice(0, then.length),
    else: writes.slice(then.length),
    ...conditions
  }
  if (encodeCommand(command).byteLength > limits.maxCommandBytes) {
    throw new TooLargeError(`The transaction is larger than ${limits.maxCommandBytes} bytes`)
  }
  const answer = await proposeToMap(context, command, wait)
  if (answer.kind === 'fenced') throw new FencedError(fence)
  if (answer.kind === 'session-gone') throw new SessionLostError(answer.session)
  if (answer.kind !== 'transacted') throw new TypeError(`unexpected answer to a transaction: ${answer.kind}`)
  const { succeeded, revision, revisions } = answer
  return { succeeded, revision, revisions }
}

/** The writes as the command carries them; opens the session of this process when one of them asks for it. */
async function withEnds (
  context: PrimitiveContext,
  writes: readonly TransactionWrite[],
  wait: WaitOptions
): Promise<{ readonly writes: readonly MapWrite[], readonly wait: WaitOptions }> {
  const given = writes.map((write) => write.kind === 'set' ? givenEnd(write) : {})
  const own = await keyEndOf(context, { ephemeral: given.includes('ephemeral') }, wait)
  return {
    wait: own.wait,
    writes: writes.map((write, at) => {
      if (write.kind === 'delete') return write
      const { kind, map, key, value } = write
      const end = given[at]
      return { kind, map, key, value, ...(end === 'ephemeral' ? own.end : end) }
    })
  }
}

function checkOnce (branch: string, writes: readonly TransactionWrite[]): void {
  const seen = new Set<string>()
  for (const { map, key } of writes) {
    const named = JSON.stringify([map, key])
    if (seen.has(named)) throw new InvalidOptionsError(`transaction/${branch} writes "${key}" of "${map}" twice`)
    seen.add(named)
  }
}
