import { setTimeout as delay } from 'node:timers/promises'
import type { AdminClient } from '../../gateway/internal.ts'
import type { Logger, RaftControl } from '../../raft/index.ts'
import { readErrorAnswer } from './members-answer.ts'

/** How long one call may take; a change of membership needs a majority's disks. */
const callTimeoutMs = 10_000
const firstPauseMs = 100
const longestPauseMs = 5_000
/** Only these refusals stay: everything else may be different at the next attempt. */
const lastingRefusals: ReadonlySet<string> = new Set([
  'RAFT_MEMBER_EXISTS',
  'RAFT_UNKNOWN_MEMBER',
  'RAFT_WRONG_INCARNATION',
  'RAFT_INVALID_REQUEST',
  'RAFT_UNAUTHORIZED'
])

/** What an {@link OwnUrl} works with. */
export interface OwnUrlOptions {
  readonly engine: RaftControl
  readonly nodeId: string
  /** Where the options say that this node is reached. */
  readonly url: string
  /** Path of `members` on every node. */
  readonly membersPath: string
  readonly client: AdminClient
  readonly logger: Logger
}

/**
 * Tells the cluster that this node is reached elsewhere than its log says: it was started again with another URL. It
 * names its log, so that only the node that is the member can move it.
 */
export class OwnUrl {
  readonly #options: OwnUrlOptions
  readonly #stopped = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #turn = 0

  constructor (options: OwnUrlOptions) {
    this.#options = options
  }

  start (): void {
    if (this.#hasMoved()) this.#running = this.#run()
  }

  async stop (): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  /** A lone node that has no URL in its log is given one with its first new member. */
  #hasMoved (): boolean {
    const { engine, nodeId, url } = this.#options
    const known = engine.members().find(({ id }) => id === nodeId)?.url ?? ''
    return url !== '' && known !== '' && known !== url
  }

  async #run (): Promise<void> {
    const { logger, url } = this.#options
    for (
      let pauseMs = firstPauseMs;
      this.#hasMoved() && !this.#stopped.signal.aborted;
      pauseMs = Math.min(2 * pauseMs, longestPauseMs)
    ) {
      try {
        const refusal = await this.#move()
        if (refusal === null) {
          logger.info({ url }, 'told the cluster where this node is reached now')
          return
        }
        if (lastingRefusals.has(refusal.code)) {
          logger.error(
            { url, ...refusal },
            'the cluster does not take the URL of this node: the others go on to look for it where it was'
          )
          return
        }
        logger.debug({ url, ...refusal }, 'not told the cluster yet where this node is reached')
      } catch (err) {
        if (!this.#stopped.signal.aborted) {
          logger.debug({ url, err }, 'not told the cluster yet where this node is reached')
        }
      }
      await delay(pauseMs, undefined, { ref: false, signal: this.#stopped.signal }).catch(() => {})
    }
  }

  /** Null when it is done. */
  async #move (): Promise<{ readonly code: string, readonly message: string } | null> {
    const { engine, nodeId, url, client, membersPath } = this.#options
    const { incarnation } = engine.status()
    if (engine.currentLeadership() !== null) {
      await engine.changeMembership([{ kind: 'set-url', id: nodeId, url, incarnation }], {
        timeoutMs: callTimeoutMs,
        signal: this.#stopped.signal
      })
      return null
    }
    const others = engine.members().filter((member) => member.id !== nodeId && member.url !== '')
    const asked = others[this.#turn++ % Math.max(1, others.length)]
    if (asked === undefined) return { code: 'RAFT_NO_LEADER', message: 'there is nobody to ask' }
    const path = `${membersPath}/${encodeURIComponent(nodeId)}/url`
    const answer = await client.call(
      asked.url,
      { method: 'POST', path, body: { url, ifIncarnation: incarnation } },
      { timeoutMs: callTimeoutMs, signal: this.#stopped.signal }
    )
    if (answer.statusCode === 200) return null
    return (
      readErrorAnswer(answer.text) ?? {
        code: String(answer.statusCode),
        message: `${asked.url} did not answer as a node of a cluster does`
      }
    )
  }
}
