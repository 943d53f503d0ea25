import type { IncomingMessage, ServerResponse } from 'node:http'
import type { LeaderInfo } from '../../raft/index.ts'
import { LeaderSearch } from './leader-search.ts'
import { Relay } from './relay.ts'
import type { Forwarder, ForwarderOptions } from './types.ts'

/**
 * Makes a forwarder: it knows where a request belongs and carries it there, streaming both ways.
 *
 * A request is sent again only when it surely was not executed: it never left this process, or the node refused it with
 * an authentic "not executed" answer and the body is still at hand (absent, or at most `replayBytes`). Besides that
 * GET, HEAD, OPTIONS, PUT and DELETE are sent again after a lost connection as long as none of their body was read (RFC
 * 9110 section 9.2.2). Nothing is sent again once the answer has begun.
 */
export function createForwarder (options: ForwarderOptions): Forwarder {
  const relay = new Relay({
    selfId: options.selfId,
    viaName: options.viaName,
    timeoutMs: options.timeoutMs,
    maxInFlight: options.maxInFlight ?? 2_048,
    connectTimeoutMs: options.connectTimeoutMs ?? 1_000,
    headersTimeoutMs: options.headersTimeoutMs ?? options.timeoutMs,
    replayBytes: options.replayBytes ?? 65_536,
    prefix: options.prefix ?? '/_cluster',
    oneHopOnly: true,
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    ...(options.logger === undefined ? {} : { logger: options.logger })
  })
  return createForwarderOn(relay, new LeaderSearch(options))
}

/** A forwarder over parts that others use too; `close` closes them. */
export function createForwarderOn (relay: Relay, search: LeaderSearch): Forwarder {
  return {
    target: async (signal) => await search.target(signal),
    forward: async (req, res, leader) => { await forward(relay, search, req, res, leader) },
    stats: () => ({ waiting: search.waiting, inFlight: relay.inFlight }),
    close: async () => {
      search.close()
      await relay.close()
    }
  }
}

async function forward (
  relay: Relay,
  search: LeaderSearch,
  req: IncomingMessage,
  res: ServerResponse,
  leader: LeaderInfo
): Promise<void> {
  let searchEndsAtMs: number | null = null
  await relay.run(req, res, {
    first: { url: leader.url, leader },
    failed: (target, failure) => {
      search.reportFailure(target, failure)
    },
    next: async (failed) => {
      searchEndsAtMs ??= search.nowMs() + search.waitForLeaderMs
      return await search.next(failed, searchEndsAtMs)
    },
    leader: () => search.knownLeader()
  })
}
