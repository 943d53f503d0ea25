import type { LockGrant } from '../../../src/plugin/index.ts'
import { createLock } from '../../../src/plugin/primitives/lock.ts'
import { createMap } from '../../../src/plugin/primitives/map.ts'
import { startSessionExpiry } from '../../../src/plugin/primitives/session-expiry.ts'
import { startTestCluster } from '../../plugin/primitives/support/primitives.ts'

/** Two holders of one lock, of which the first does not know yet that it has lost it. */
export interface OverlappingHolders {
  /**
   * Its process was paused behind a `check()`: its clocks stand where they were, so that `check()` says the same again,
   * and what it does next comes after its pause.
   */
  readonly frozen: LockGrant
  readonly later: LockGrant
  /** The map, from each of their nodes. */
  readonly frozenMap: ReturnType<typeof createMap<string>>
  readonly laterMap: ReturnType<typeof createMap<string>>
}

/** A holder is paused, its session ends, and another node gets the lock. Then the first one wakes up. */
export async function overlappingHolders (): Promise<OverlappingHolders> {
  const { nodes, node } = startTestCluster(2)
  for (const each of nodes) startSessionExpiry(each)
  const [other, paused] = [node(0), node(1)]
  const frozen = await createLock(paused, 'resource').acquire()
  frozen.check()
  paused.engine.isCutOff = true
  const waiting = createLock(other, 'resource').acquire({ timeoutMs: 60_000 })
  for (let passedMs = 0; passedMs < 11_000; passedMs += 50) await other.clock.advance(50)
  const later = await waiting
  paused.engine.isCutOff = false
  return { frozen, later, frozenMap: createMap(paused, 'resource'), laterMap: createMap(other, 'resource') }
}
