export { defaultCoreLimits } from './config.ts'
export type { CoreConfig, CoreLimits } from './config.ts'
export {
  decodeConfiguration,
  encodeConfiguration,
  isJoint,
  participants,
  stableConfiguration
} from './configuration.ts'
export type { Configuration, ConfigurationChange, ConfigurationMember } from './configuration.ts'
export { InvariantViolation } from './invariant.ts'
export type * from './message.ts'
export type {
  ConfigureRefusal,
  ConfigureResult,
  LeadershipView,
  Output,
  ProposeRefusal,
  ProposeResult,
  ReadResult,
  TransferRefusal,
  TransferResult,
  Violation,
  Write
} from './output.ts'
export { RaftCore } from './raft.ts'
export type { HeldConfiguration } from './configuration-history.ts'
export type { Installation, SnapshotOffer, SnapshotPoint } from './snapshot.ts'
export type { Recovered } from './state.ts'
export { asIndex, asNodeId, asTerm, emptyHardState, wholeLog } from './types.ts'
export type { Entry, EntryKind, HardState, Index, LogBase, NodeId, Role, Term } from './types.ts'
