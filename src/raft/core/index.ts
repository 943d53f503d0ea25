export { defaultCoreLimits } from './config.ts'
export type { CoreConfig, CoreLimits } from './config.ts'
export {
  isJoint,
  participants,
  stableConfiguration
} from './configuration.ts'
export type { ConfigurationChange } from './configuration.ts'
export { entryBytes, totalBytes } from './entry-size.ts'
export type { Moment } from './log-time.ts'
export type * from './message.ts'
export { isForeign, isOfOtherCluster } from './other-cluster.ts'
export { isRequest } from './requests.ts'
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
export type { Installation, SnapshotOffer, SnapshotPoint } from './snapshot.ts'
export type { Recovered } from './state.ts'
export { asIndex, asNodeId, asTerm, emptyHardState, wholeLog } from './types.ts'
export type {
  CommandEntry,
  Configuration,
  ConfigurationEntry,
  ConfigurationMember,
  Entry,
  EntryKind,
  HardState,
  Index,
  LogBase,
  NodeId,
  Role,
  Term
} from './types.ts'
