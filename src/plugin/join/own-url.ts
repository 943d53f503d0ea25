import { setTimeout as delay } from 'node:timers/promises'
import type { AdminClient } from '../../gateway/internal.ts'
import type { Logger, RaftControl } from '../../raft/index.ts'
import { readErrorAnswer } from './members-answer.ts'
import { callTimeoutMs, firstPauseMs, isLasting, nextPauseMs } from './retry.ts'

/** What an {@link OwnUrl} works with. */
interface OwnUrlOptions {
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
 * Tells the cluster the new URL of this node after a restart with another one. The call names the log of this node, so
 * that only the member itself can move it.
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

  /** A sole voter without a URL in its log gets one together with its first new member. */
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
      pauseMs = nextPauseMs(pauseMs)
    ) {
      try {
        const refusal = await this.#move()
        if (refusal === null) {
          logger.info({ url }, 'told the cluster the new URL of this node')
          return
        }
        if (isLasting(refusal.code)) {
          logger.error(
            { url, ...refusal },
            'the cluster refuses the URL of this node, and the others keep using the old one'
          )
          return
        }
        logger.debug({ url, ...refusal }, 'the cluster does not know the new URL of this node yet')
      } catch (err) {
        if (!this.#stopped.signal.aborted) {
          logger.debug({ url, err }, 'the cluster does not know the new URL of this node yet')
        }
      }
      await delay(pauseMs, undefined, { ref: false, signal: this.#stopped.signal }).catch(() => {})
    }
  }

  /** Null when the cluster has taken the URL, else its refusal. */
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
    if (asked === undefined) return { code: 'RAFT_NO_LEADER', message: 'there is no other member to ask' }
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
