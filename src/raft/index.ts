export { systemClock } from './clock.ts'
export type { Clock } from './clock.ts'
export type {
  ChangeOptions,
  Engine,
  EngineEvents,
  EngineStatus,
  LeaderInfo,
  Leadership,
  Member,
  MemberInfo,
  MemberRole,
  Membership,
  MembershipChange,
  SnapshotTaken,
  WaitOptions
} from './engine.ts'
export * from './errors.ts'
export type { Logger } from './logger.ts'
export { openRaftEngine } from './raft-engine.ts'
export type { RaftEngine } from './raft-engine.ts'
export type { RaftEngineOptions } from './raft-engine-options.ts'
export { checkVersion } from './replicated-state.ts'
export { decodeSections, encodeSections } from './snapshot-sections.ts'
export type { SectionToRead, SectionToWrite } from './snapshot-sections.ts'
export { defaultSnapshotPolicy } from './snapshot-policy.ts'
export type { SnapshotPolicy } from './snapshot-policy.ts'
export type { ApplyContext, StateMachine } from './state-machine.ts'
export { FileSnapshotStore } from './storage/file-snapshot-store.ts'
export type { FileSnapshotStoreOptions } from './storage/file-snapshot-store.ts'
export { FileStorage } from './storage/file-storage.ts'
export type { FileStorageOptions } from './storage/file-storage.ts'
export { restoreSnapshot, saveSnapshot } from './snapshot-files.ts'
export type { RestoreOptions } from './snapshot-files.ts'
export { inspectLog, inspectSnapshot } from './storage/inspection.ts'
export type { InspectedSegment, InspectedSnapshot, LogInspection } from './storage/inspection.ts'
export { MemorySnapshotStore } from './storage/memory-snapshot-store.ts'
export { MemoryStorage } from './storage/memory-storage.ts'
export type { IncomingSnapshot, SnapshotInfo, SnapshotMeta, SnapshotStore } from './storage/snapshot-store.ts'
export type {
  LogBase,
  RecoveredState,
  ReplayOptions,
  Storage,
  StorageBatch,
  StorageIdentity
} from './storage/storage.ts'
export type { Timing } from './timing.ts'
export { filterRequests, interceptPeerRequests, peerRequestFilter } from './transport/request-filter.ts'
export { Waiter } from './wait.ts'
