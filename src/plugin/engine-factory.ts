import type { Logger, RaftEngine, Secrets, SnapshotPolicy, StateMachine, TlsSource } from '../raft/index.ts'
import { FileSnapshotStore, FileStorage, MemorySnapshotStore, MemoryStorage } from '../raft/index.ts'
import type { MemberNonces } from '../raft/internal.ts'
import { openRaftEngineIn } from '../raft/internal.ts'
import type { NodeEnvironment } from './environment.ts'
import { isLoopbackAddress } from './options/loopback.ts'
import { isMemberUrl } from './options/member-rules.ts'
import type { ResolvedOptions } from './options/options.ts'
import { memberReachOf } from './options/options.ts'

/** What an engine is opened with. */
export interface EngineRequest {
  readonly options: ResolvedOptions
  readonly stateMachine: StateMachine
  readonly logger: Logger
  readonly environment: NodeEnvironment
  /** What peers prove that they belong with; null: they are not authenticated. */
  readonly secrets: Secrets | null
  /** What this node and its peers tell each other for proofs of what they send beside their messages. */
  readonly nonces: MemberNonces
  /** How peers with https URLs are called; with a certificate of this node they have to show theirs. */
  readonly tls: TlsSource
  /** Path of the peer routes, without a trailing slash. */
  readonly basePath: string
}

/** Opens an engine without starting it; rejects when its data cannot be used. */
export type EngineFactory = (request: EngineRequest) => Promise<RaftEngine>

/** The same on all nodes: hashes of other entries cannot be compared. */
const hashStateEveryEntries = 1_000

/** Opens Raft on the data directory, or in memory without one. */
export const openEngine: EngineFactory = (
  { options, stateMachine, logger, environment, secrets, nonces, tls, basePath }
) => openRaftEngineIn(environment, {
  nodeId: options.id,
  clusterId: options.clusterId,
  members: options.members,
  url: options.url,
  memberUrls: options.join ?? [],
  acceptUrl: (url) => isMemberUrl(url, memberReachOf(options)),
  storage: options.dataDir === null
    ? environment.memory?.storage ?? new MemoryStorage()
    : new FileStorage({
      directory: options.dataDir,
      identity: { clusterId: options.clusterId, nodeId: options.id },
      minFreeBytes: options.minFreeBytes,
      onLowSpace: (isLow, freeBytes) => {
        const found = { dataDir: options.dataDir, freeBytes, minFreeBytes: options.minFreeBytes }
        if (isLow) {
          logger.error(
            found,
            'space for the log is low: while it leads, this node refuses what may grow; it stops when there is none'
          )
        } else logger.info(found, 'there is space for the log again')
      },
      onWeakClaim: (reason) => {
        logger.warn(
          { dataDir: options.dataDir, reason },
          'the data directory is not protected from a second node: make sure that only one is started on it'
        )
      }
    }),
  snapshots: options.dataDir === null
    ? environment.memory?.snapshots ?? new MemorySnapshotStore({ keep: 1 })
    : new FileSnapshotStore({ directory: options.dataDir, clusterId: options.clusterId }),
  snapshotPolicy: policyOf(options.snapshots),
  stateMachine,
  timing: {
    heartbeatMs: options.heartbeatMs,
    electionTimeoutMinMs: options.electionTimeoutMinMs,
    electionTimeoutMaxMs: options.electionTimeoutMaxMs
  },
  logger,
  basePath,
  sessionTtlMs: options.sessionTtlMs,
  tls,
  nameForm: options.tls.nameForm,
  ...(options.debugHashes ? { hashStateEveryEntries } : {}),
  secrets,
  nonces,
  ...(options.remoteMembers ? {} : { acceptRemoteAddress: isLoopbackAddress })
})

function policyOf ({ everyEntries, everyBytes, ...rest }: ResolvedOptions['snapshots']): Partial<SnapshotPolicy> {
  return { entries: everyEntries, bytes: everyBytes, ...rest }
}
