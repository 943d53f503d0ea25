import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { PrimitiveContext } from '../../../../src/plugin/primitives/context.ts'
import { startLockExpiry } from '../../../../src/plugin/primitives/lock-expiry.ts'
import { ClusterStateMachine } from '../../../../src/plugin/replicated/cluster-state-machine.ts'
import type { Member, RaftControl, Timing } from '../../../../src/raft/index.ts'
import { MemorySnapshotStore, MemoryStorage, openRaftEngine } from '../../../../src/raft/index.ts'
import { filterRequests, peerRequestFilter, systemClock } from '../../../../src/raft/internal.ts'
import { MemoryLogger } from '../../../support/memory-logger.ts'
import { until } from '../../../support/until.ts'

/** A node of a real cluster: its engine, its machine, and the way to end it. */
export interface RealNode extends PrimitiveContext {
  readonly id: string
  readonly engine: RaftControl
  readonly logger: MemoryLogger
  readonly close: () => Promise<void>
}

const fastTiming: Timing = { heartbeatMs: 50, electionTimeoutMinMs: 250, electionTimeoutMaxMs: 500 }

/** Engines over real sockets on loopback, in this process, with a lock expiry each. */
export async function startRealCluster (size: number, timing = fastTiming): Promise<RealNode[]> {
  const servers = await Promise.all(Array.from({ length: size }, () => listen()))
  const members = servers.map((server, at) => ({
    id: `n${at + 1}`,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }))
  return await Promise.all(servers.map((server, at) => open(server, members, at, timing)))
}

/** The one node that leads. */
export async function leaderOf (nodes: readonly RealNode[]): Promise<RealNode> {
  return await until('a leader', () => nodes.find((node) => node.engine.currentLeadership() !== null))
}

async function listen (): Promise<http.Server> {
  const server = http.createServer((_request, response) => { response.writeHead(404).end() })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return server
}

async function open (server: http.Server, members: readonly Member[], at: number, timing: Timing): Promise<RealNode> {
  const id = `n${at + 1}`
  const machine = new ClusterStateMachine()
  const logger = new MemoryLogger()
  const engine = await openRaftEngine({
    nodeId: id,
    clusterId: 'test',
    members,
    storage: new MemoryStorage(),
    snapshots: new MemorySnapshotStore(),
    stateMachine: machine,
    timing,
    logger
  })
  filterRequests(server, peerRequestFilter('/_cluster/raft/', engine.handlePeerRequest))
  const context = { engine, machine, clock: systemClock, logger, defaultTimeoutMs: 5_000 }
  const expiry = startLockExpiry(context)
  engine.start()
  let closed = false
  const close = async (): Promise<void> => {
    if (closed) return
    closed = true
    expiry.stop()
    await engine.stop()
    server.closeAllConnections()
    await new Promise((resolve) => { server.close(resolve) })
  }
  return { ...context, id, close }
}
