/**
 * Forwarding to the leader: the hop and its rules, the forwarder that nodes use, and the stand-alone gateway.
 * @module
 */
export {
  attemptHeader,
  hopHeader,
  notExecutedHeader,
  formatHop,
  parseAttempt,
  parseHop,
  checkHop,
  createHopId,
  formatNotExecuted,
  isNotExecuted
} from './hop.ts'
export type { Hop, HopReceiver } from './hop.ts'
export { isReservedTarget } from './reserved-target.ts'
export { createForwarder } from './forwarder.ts'
export type {
  AttemptFailure, Forwarder, ForwarderOptions, ForwarderStats, LeaderSource, LeaderTarget, NoTargetCode, Target
} from './types.ts'
export { createGateway } from './gateway.ts'
export type { Gateway, GatewayAddress, GatewayStatus } from './gateway.ts'
export type { GatewayOptions } from './gateway-options.ts'
export { createLeaderTracker } from './leader-tracker.ts'
export type { LeaderTracker, LeaderTrackerOptions, TrackedNode } from './leader-tracker.ts'
