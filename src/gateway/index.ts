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
} from './forward/hop.ts'
export type { Hop, HopReceiver } from './forward/hop.ts'
export { isReservedTarget } from './forward/reserved-target.ts'
export { createForwarder } from './forward/forwarder.ts'
export type {
  AttemptFailure, Forwarder, ForwarderOptions, ForwarderStats, LeaderSource, NoTargetCode, Target
} from './forward/types.ts'
export { createGateway } from './standalone/gateway.ts'
export type { Gateway, GatewayAddress, GatewayStatus } from './standalone/gateway.ts'
export type { GatewayOptions } from './standalone/gateway-options.ts'
export { createLeaderTracker } from './standalone/leader-tracker.ts'
export type { LeaderTracker, LeaderTrackerOptions, TrackedNode } from './standalone/leader-tracker.ts'
