export { systemClock } from './runtime/clock.ts'
export type { Clock } from './runtime/clock.ts'
export type {
  ChangeOptions,
  Engine,
  EngineEvents,
  EngineStatus,
  EventSource,
  LeaderInfo,
  Leadership,
  Member,
  MemberInfo,
  MemberRole,
  Membership,
  MembershipChange,
  RaftControl,
  RaftEvents,
  RaftStatus,
  SnapshotTaken,
  WaitOptions
} from './engine.ts'
export * from './errors.ts'
export type { Logger } from './runtime/logger.ts'
export { openRaftEngine } from './raft-engine.ts'
export type { RaftEngine, RaftEngineOptions } from './raft-engine.ts'
export { checkVersion, decodeSections, encodeSections } from './state/sections.ts'
export type { SectionToRead, SectionToWrite } from './state/sections.ts'
export { defaultSnapshotPolicy } from './snapshots/policy.ts'
export type { SnapshotPolicy } from './snapshots/policy.ts'
export type { ApplyContext, StateMachine } from './state/state-machine.ts'
export { FileSnapshotStore } from './storage/snapshots/file-snapshot-store.ts'
export type { FileSnapshotStoreOptions } from './storage/snapshots/file-snapshot-store.ts'
export { FileStorage } from './storage/file-storage.ts'
export type { FileStorageOptions } from './storage/file-storage.ts'
export { restoreSnapshot, saveSnapshot } from './tools/save-restore.ts'
export type { RestoreOptions } from './tools/save-restore.ts'
export { inspectLog, inspectSnapshot } from './tools/inspect.ts'
export type { InspectedSegment, InspectedSnapshot, LogInspection } from './tools/inspect.ts'
export { MemorySnapshotStore } from './storage/snapshots/memory-snapshot-store.ts'
export { MemoryStorage } from './storage/memory-storage.ts'
export type { IncomingSnapshot, SnapshotInfo, SnapshotMeta, SnapshotStore } from './storage/snapshot-store.ts'
export type {
  LogPoint,
  RecoveredState,
  Storage,
  StorageBatch,
  StorageIdentity
} from './storage/storage.ts'
export type { Timing } from './driver/timing.ts'
export { filterRequests, interceptPeerRequests, peerRequestFilter } from './transport/request-filter.ts'
export { systemTimers } from './runtime/timers.ts'
export type { Timers } from './runtime/timers.ts'
export { Waiter } from './runtime/waiter.ts'
