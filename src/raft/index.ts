/**
 * Raft on its own, without the plugin: consensus over HTTP with an embedded node.
 *
 * ```ts
 * import { createServer } from 'node:http'
 * import { FileSnapshotStore, FileStorage, openRaftEngine } from 'fastify-raft/raft'
 *
 * const engine = await openRaftEngine({
 *   nodeId: 'n1',
 *   clusterId: 'counters',
 *   members: [{ id: 'n1', url: 'http://127.0.0.1:4001' }],
 *   storage: new FileStorage({ directory: './data', identity: { clusterId: 'counters', nodeId: 'n1' } }),
 *   snapshots: new FileSnapshotStore({ directory: './data', clusterId: 'counters' }),
 *   stateMachine: counters,
 *   timing: { heartbeatMs: 100, electionTimeoutMinMs: 500, electionTimeoutMaxMs: 1_000 },
 *   logger: pino()
 * })
 * createServer(engine.handlePeerRequest).listen(4001)
 * engine.start()
 * const answer = await engine.propose(Buffer.from('add 1'))
 * ```
 * @module
 */
export type { Timing } from './driver/timing.ts'
export type {
  ChangeOptions,
  Engine,
  EngineEvents,
  EngineStatus,
  EventSource,
  LeaderInfo,
  Leadership,
  LeadershipEnd,
  Member,
  MemberInfo,
  MemberRole,
  Membership,
  MembershipChange,
  RaftControl,
  RaftEvents,
  RaftStatus,
  RestoreProgress,
  SnapshotFailure,
  SnapshotTaken,
  WaitOptions
} from './engine.ts'
export * from './errors.ts'
export { openRaftEngine } from './driver/raft-engine.ts'
export type { RaftEngine, RaftEngineOptions } from './driver/raft-engine.ts'
export type { Clock } from './runtime/clock.ts'
export type { Logger } from './runtime/logger.ts'
export type { SnapshotPolicy } from './snapshots/policy.ts'
export type { ApplyContext, ReserveUse, StateMachine } from './state/state-machine.ts'
export { FileStorage } from './storage/file-storage.ts'
export type { FileStorageOptions } from './storage/file-storage.ts'
export { MemoryStorage } from './storage/memory-storage.ts'
export type { IncomingSnapshot, SnapshotInfo, SnapshotMeta, SnapshotStore } from './storage/snapshot-store.ts'
export { FileSnapshotStore } from './storage/snapshots/file-snapshot-store.ts'
export type { FileSnapshotStoreOptions } from './storage/snapshots/file-snapshot-store.ts'
export { MemorySnapshotStore } from './storage/snapshots/memory-snapshot-store.ts'
export type {
  LogPoint,
  RecoveredState,
  Storage,
  StorageBatch,
  StorageIdentity
} from './storage/storage.ts'
export type { NoteListener, PeerNotes } from './transport/peer-notes.ts'
export type { NonceExchange } from './transport/transport.ts'
export type { NameForm } from './trust/certificate-names.ts'
export { makeSecret, readSecrets } from './trust/secret.ts'
export type { Secret, Secrets, SecretsReading } from './trust/secret.ts'
export { readTlsMaterial } from './trust/tls-material.ts'
export type {
  ExpectedName,
  OwnCertificate,
  TlsFault,
  TlsMaterial,
  TlsPart,
  TlsReading,
  TlsSource,
  TlsTexts
} from './trust/tls-material.ts'
export { inspectLog, inspectSnapshot } from './tools/inspect.ts'
export type { InspectedSegment, InspectedSnapshot, LogInspection } from './tools/inspect.ts'
export { restoreSnapshot, saveSnapshot } from './tools/save-restore.ts'
export type { RestoreOptions } from './tools/save-restore.ts'
