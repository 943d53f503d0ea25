import { createHash } from 'node:crypto'
import { StateDivergedError } from '../errors.ts'
import type { Logger } from '../runtime/logger.ts'
import { encodeEnvelope } from './command-envelope.ts'
import type { StateMachine } from './state-machine.ts'

/** How many of the latest hashes are kept. */
const maxRemembered = 16

interface StateHashesOptions {
  /** Hashes the state after every entry whose index is a multiple of this. The same on all nodes. */
  readonly everyEntries: number
  /**
   * Proposes each hash as a checkpoint; never called while an entry is being applied. It proposes to this node's own
   * log: on a node that does not lead the checkpoint is refused, and only the leader's counts.
   */
  readonly log: { readonly propose: (commands: readonly Uint8Array[]) => unknown }
  readonly logger: Logger
}

/**
 * Finds states that differ between nodes: each node hashes its state at the same entries, the leader writes its hash
 * to the log, and a node with another hash for that entry stops. For development and tests: each hash takes a snapshot.
 */
export class StateHashes {
  readonly #options: StateHashesOptions
  readonly #own = new Map<number, string>()
  readonly #leaders = new Map<number, string>()
  #isHashing = false
  #diverged: Error | null = null

  constructor (options: StateHashesOptions) {
    this.#options = options
  }

  /** Throws `RAFT_STATE_DIVERGED` once a hash has differed from the leader's. */
  check (): void {
    if (this.#diverged !== null) throw this.#diverged
  }

  /** An entry was applied. Skips a state that is due while an earlier one is still being hashed. */
  applied (index: number, captured: Pick<StateMachine, 'snapshot'>): void {
    if (index % this.#options.everyEntries !== 0 || this.#isHashing) return
    this.#isHashing = true
    this.#hash(index, captured).catch((err: unknown) => {
      this.#options.logger.error({ err, index }, 'the state could not be hashed')
    }).finally(() => { this.#isHashing = false })
  }

  /** The leader's hash of the state after an entry, as the log has it. */
  leaderHas (index: number, hash: Uint8Array): void {
    remember(this.#leaders, index, hexOf(hash))
    this.#compare(index)
  }

  /** Captures the state before it returns. A state that cannot be captured is not compared, and stops nothing. */
  async #hash (index: number, captured: Pick<StateMachine, 'snapshot'>): Promise<void> {
    const state = captured.snapshot()
    const hash = createHash('sha256')
    for await (const chunk of state) hash.update(chunk)
    const digest = hash.digest()
    remember(this.#own, index, hexOf(digest))
    this.#compare(index)
    this.#options.log.propose([encodeEnvelope({ kind: 'checkpoint', index, hash: digest })])
  }

  #compare (index: number): void {
    const own = this.#own.get(index)
    const leaders = this.#leaders.get(index)
    if (own === undefined || leaders === undefined || own === leaders || this.#diverged !== null) return
    this.#diverged = new StateDivergedError(index, own, leaders)
    this.#options.logger.error(
      { err: this.#diverged, index, own, leaders },
      'the state of this node has diverged from the leader'
    )
  }
}

function hexOf (hash: Uint8Array): string {
  return Buffer.from(hash).toString('hex')
}

function remember (hashes: Map<number, string>, index: number, hash: string): void {
  hashes.set(index, hash)
  const [oldest] = hashes.keys()
  if (hashes.size > maxRemembered && oldest !== undefined) hashes.delete(oldest)
}
