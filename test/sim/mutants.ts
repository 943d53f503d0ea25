import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import ts from 'typescript'
import type { CoreConstructor, DriverCode } from '../support/core-node.ts'
import type { WatchConstructor } from './leadership-watches.ts'
import type { LeaseConstructor } from './leases.ts'
import type { PlanOverride } from './plan.ts'
import type { StateCode } from './replica.ts'
import type { PrimitivesCode } from './users/index.ts'
import type { StorageConstructor } from './wal.ts'
import type { Sabotage } from './world.ts'

export interface Change {
  /** Path from the root of the project. */
  readonly file: string
  /** Text that occurs exactly once in it. */
  readonly find: string
  readonly replace: string
}

/** A bug put into a copy of the source, or into what the simulator does around it. */
export interface Mutant {
  readonly name: string
  readonly changes: readonly Change[]
  readonly sabotage?: Sabotage
  /** The plan under which the bug shows soon; a swarm of random plans would find it later. */
  readonly plan?: PlanOverride
  /** A seed known to show it, tried before the others. */
  readonly seed?: number
}

const coreFolder = 'src/raft/core'
function change (file: string, find: string, replace: string): Change {
  return { file: `${coreFolder}/${file}`, find, replace }
}
function changeIn (path: string, find: string, replace: string): Change {
  return { file: `src/${path}`, find, replace }
}
/** The clock of the node that applies, which the simulator puts there. */
const localClock = '((globalThis as { simulatedWallMs?: () => number }).simulatedWallMs?.() ?? 0)'

/** Restarts within an election, on disks that are slower than it. */
const crashes: PlanOverride = {
  size: 3,
  durationUs: 3_000_000,
  heartbeatTicks: 1,
  electionTicksMin: 4,
  electionTicksMax: 8,
  faults: { crashUs: 60_000, downUs: 10_000 },
  disk: { minUs: 5_000, maxUs: 120_000 }
}
/** Members come and go all the time, and something goes wrong in the middle of it. */
const changing: PlanOverride = { size: 3, membership: { spares: 2, configureUs: 80_000, interrupted: 0.5 } }
const reordering: PlanOverride = { network: { loss: 0.1, duplication: 0.2, strays: 0.15, strayUs: 800_000 } }

/** Connections are refused all the time, to nodes that run and to others, and leases end early. */
const refusing: PlanOverride = {
  size: 3,
  heartbeatTicks: 2,
  electionTicksMin: 12,
  electionTicksMax: 20,
  leaseTicks: 7,
  faults: { refusalUs: 100_000, refusedUs: 300_000, partitionUs: 200_000, partitionedUs: 400_000 }
}

/** Users of maps and locks. */
const callers: PlanOverride['callers'] = { count: 4 }
/** Applications on all nodes, on clocks that run at one speed, while leaders come and go. */
const applications: PlanOverride = {
  size: 3,
  drift: 0,
  heartbeatTicks: 2,
  electionTicksMin: 10,
  electionTicksMax: 20,
  limits: { maxUncommittedBytes: 1_048_576 },
  network: { loss: 0.05, delayMaxUs: 20_000 },
  users: { thinkMs: 100, locks: 2, sessionTtlMs: 1_000 },
  faults: { crashUs: 2_000_000, partitionUs: 1_500_000, partitionedUs: 2_500_000, transferUs: 2_000_000 }
}
/** Snapshots all the time, nothing kept behind them, and crashes in the middle. */
const snapshots: PlanOverride['snapshots'] = { takeUs: 200_000, keepEntries: 0, sendMaxUs: 50_000, interrupted: 0.2 }

/**
 * Bugs that the simulator must notice: the bugs D1 to D28 of docs/traps.md, and some more.
 *
 * Left to the tests of single rules, because another rule hides them from any run: the clamp of an append's commit
 * index (exact hints make every append that fits reach the conflict), and the completion of an overwritten write (a
 * leader's own vote is written after it). And one because a run hardly ever meets what it needs, which is a change that
 * leaves a majority without any voter of the former one, and refusals within a lease of it: that a new configuration
 * starts the silence towards a suspected leader anew.
 */
export const mutants: readonly Mutant[] = [
  {
    name: 'D1 vote sent before persist',
    changes: [
      change(
        'election.ts',
        "state.sendDurably({ kind: 'vote-response', to: message.from, granted: true })",
        "state.send({ kind: 'vote-response', to: message.from, granted: true })"
      )
    ],
    plan: crashes,
    seed: 4904
  },
  {
    name: 'D2 stale log gets votes',
    changes: [change('log.ts', 'return lastTerm > this.lastTerm ||', 'return true || lastTerm > this.lastTerm ||')]
  },
  {
    name: 'D3 same-term step-down clears the vote',
    changes: [
      change(
        'transitions.ts',
        '  if (term > state.term) {\n    state.term = term',
        '  if (term >= state.term) {\n    state.term = term'
      )
    ]
  },
  {
    name: 'D4 higher term in a response ignored',
    changes: [
      change(
        'raft.ts',
        'if (!message.granted) becomeFollower(state, message.term, null)\n      return true',
        'return message.granted'
      ),
      change(
        'raft.ts',
        "    case 'timeout-now':\n      becomeFollower(state, message.term, null)\n      return true",
        "    case 'timeout-now':\n      return false"
      )
    ],
    seed: 2
  },
  {
    name: 'D5 prior-term entry committed by counting',
    changes: [change('replication.ts', ' || state.log.termAt(asIndex(reached)) !== state.term', '')],
    plan: {
      size: 5,
      durationUs: 3_000_000,
      heartbeatTicks: 1,
      electionTicksMin: 4,
      electionTicksMax: 8,
      limits: { maxEntriesPerAppend: 1, maxInFlightAppends: 1 },
      load: { proposeUs: 8_000 },
      faults: { crashUs: 80_000, downUs: 100_000, partitionUs: 150_000, partitionedUs: 150_000, transferUs: 0 },
      network: { loss: 0.3, delayMaxUs: 10_000 }
    },
    seed: 1619
  },
  {
    name: 'D6 half the voters elect on even sizes',
    changes: [change('quorum.ts', 'Math.floor(voters.length / 2) + 1', 'Math.ceil(voters.length / 2)')]
  },
  {
    name: 'D6 half the voters commit on even sizes',
    changes: [change('quorum.ts', 'values[Math.floor(voters.length / 2)]', 'values[Math.ceil(voters.length / 2) - 1]')]
  },
  {
    name: 'D7 ack before fsync',
    changes: [
      change('replication.ts', "state.sendDurably({ kind: 'append-response'", "state.send({ kind: 'append-response'")
    ]
  },
  {
    name: 'D7 a leader counts its own entries before fsync',
    changes: [
      change(
        'replication.ts',
        'id === state.config.id ? state.log.stableIndex',
        'id === state.config.id ? state.log.lastIndex'
      )
    ]
  },
  {
    name: 'D8 prevLogTerm unchecked',
    changes: [
      change('replication.ts', 'if (!log.matches(prevIndex, prevTerm)) {', 'if (prevIndex > log.lastIndex) {'),
      change(
        'validation.ts',
        'if (message.term < state.term || !state.log.matches(message.prevIndex, message.prevTerm)) return null',
        'return null'
      )
    ],
    seed: 39
  },
  {
    name: 'D9 duplicate append truncates a matching tail',
    changes: [
      change(
        'log.ts',
        'if (conflict !== null) this.#truncateFrom(conflict)',
        'const next = (entries.at(-1)?.index ?? this.lastIndex) + 1\n    if (conflict !== null || next <= this.lastIndex) this.#truncateFrom(conflict ?? next)'
      )
    ]
  },
  {
    name: 'D10 heartbeat commit past match',
    changes: [
      change(
        'heartbeat.ts',
        'commit: asIndex(Math.min(matchIndex, state.log.commitIndex))',
        'commit: asIndex(Math.max(0 * matchIndex, state.log.commitIndex))'
      ),
      change(
        'heartbeat.ts',
        'state.log.commitTo(message.commit)',
        'state.log.commitTo(asIndex(Math.min(message.commit, state.log.lastIndex)))'
      ),
      change(
        'validation.ts',
        'message.term >= state.term && message.commit > state.log.lastIndex',
        'message.commit < 0'
      )
    ]
  },
  {
    name: 'D11 an ack counts for all that was sent',
    changes: [
      change(
        'progress.ts',
        'if (isNews) this.matchIndex = index',
        'if (isNews) this.matchIndex = asIndex(Math.max(index, this.nextIndex - 1))'
      )
    ]
  },
  {
    name: 'D12 read without quorum check',
    changes: [
      change(
        'reads.ts',
        '  leader.waitingReads = []\n  if (startRound(state, leader)) serveReads(state, leader)',
        '  for (const read of leader.waitingReads) serveRead(state, read, state.log.commitIndex)\n  leader.waitingReads = []\n  leader.readsInRound = null'
      )
    ]
  },
  {
    name: 'D12 an answer to an earlier round confirms a read',
    changes: [
      change(
        'reads.ts',
        'if (served === null || leader.confirmedRound < served.round) return',
        'if (served === null) return'
      )
    ],
    plan: {
      ...reordering,
      faults: { partitionUs: 300_000, partitionedUs: 600_000, pauseUs: 400_000, pausedUs: 500_000 },
      load: { readUs: 4_000 }
    },
    seed: 34
  },
  {
    name: 'D13 ReadIndex before the current-term no-op',
    changes: [change('reads.ts', '  if (state.log.commitIndex < leader.noopIndex) return\n', '')]
  },
  {
    name: 'stale heartbeat answered with its round',
    changes: [
      change('raft.ts', 'round: 0 })', "round: message.kind === 'heartbeat-request' ? message.round : 0 })"),
      change('validation.ts', 'return message.round > state.role.round ?', 'return message.round < 0 ?')
    ],
    plan: reordering
  },
  {
    name: 'campaign in spite of contact',
    changes: [
      change(
        'raft.ts',
        "state.role.kind === 'follower' && (state.isOnlyPossibleLeader || !isInContact(state))",
        "state.role.kind === 'follower'"
      )
    ],
    plan: { size: 3, faults: { campaignUs: 100_000, partitionUs: 300_000, partitionedUs: 400_000 } }
  },
  {
    name: 'no silence after a restart',
    changes: [change('state.ts', 'hardState.term > 0 ? 0 : config.electionTicksMin', 'config.electionTicksMin')],
    plan: { size: 3, faults: { crashUs: 200_000, downUs: 10_000, partitionUs: 300_000 } }
  },
  {
    name: 'votes in spite of contact',
    changes: [
      change(
        'election.ts',
        "state.role.kind === 'leader' || state.contactElapsed < state.config.electionTicksMin",
        "state.role.kind === 'leader'"
      )
    ]
  },
  {
    name: 'A2 entries persisted without their term',
    changes: [
      change(
        'state.ts',
        'const promiseChanged = this.term !== written.term || this.vote !== written.vote',
        'const promiseChanged = this.vote !== written.vote'
      )
    ]
  },
  {
    name: 'commit hint ahead of the disk',
    changes: [
      change('state.ts', 'Math.min(this.log.commitIndex, this.log.stableIndex)', 'Math.max(this.log.commitIndex, 0)')
    ]
  },
  {
    name: 'A23 a lost probe blocks for ever',
    changes: [
      change(
        'progress.ts',
        "    if (this.state === 'probe') {\n      this.#probeInFlight = false\n      return\n    }\n    const oldest",
        '    const oldest'
      )
    ]
  },
  {
    name: 'A14 lease kept after the target was told to campaign',
    changes: [change('raft.ts', ' && role.transfer?.isHandedOver !== true', '')],
    plan: { faults: { transferUs: 150_000 } }
  },
  {
    name: 'A14 lease resumed when the transfer is given up',
    changes: [
      change(
        'transfer.ts',
        "  becomeFollower(state, state.term, null, 'transferred')\n  return false",
        '  return becomeFollower === null || true'
      )
    ],
    plan: { ...reordering, faults: { transferUs: 100_000, crashUs: 0 } }
  },
  {
    name: 'A26 a node listens to another cluster of its name',
    changes: [
      change(
        'other-cluster.ts',
        'if (own === undefined || message.cluster?.uuid === own) return false',
        'if (own === undefined || message.term >= 0) return false'
      )
    ],
    plan: { size: 3, otherCluster: { nodes: 2 } }
  },
  {
    name: 'D15 second change while one is pending',
    changes: [
      change(
        'membership.ts',
        'state.configurationIndex > state.log.commitIndex || isJoint(state.configuration)',
        'false'
      )
    ],
    plan: changing
  },
  {
    name: 'D16 change before a commit in the current term',
    changes: [
      change(
        'membership.ts',
        "  if (state.log.commitIndex < role.noopIndex) return { kind: 'refused', reason: 'not-ready' }\n",
        ''
      )
    ],
    plan: changing
  },
  {
    name: 'D17 joint election uses one majority',
    changes: [
      change(
        'quorum.ts',
        '[majorityVote(config.voters, votes), majorityVote(config.outgoing, votes)]',
        '[majorityVote(config.voters, votes)]'
      )
    ],
    plan: changing
  },
  {
    name: 'D17 joint commit uses one majority',
    changes: [
      change(
        'quorum.ts',
        'Math.min(majorityValue(config.voters, reached), majorityValue(config.outgoing, reached))',
        'majorityValue(config.voters, reached)'
      )
    ],
    plan: changing
  },
  {
    name: 'D18 removed node still counted',
    changes: [
      change(
        'state.ts',
        '    this.#newConfiguration = this.configuration\n    this.quorum = this.configuration',
        '    this.#newConfiguration = this.configuration\n    this.quorum = { ...this.configuration, voters: [...new Set([...this.configuration.voters, ...this.quorum.voters])] }'
      )
    ],
    plan: changing
  },
  {
    name: 'a replaced configuration stays in force',
    changes: [
      change(
        'replication.ts',
        '  if (replacedFrom !== null) state.rollBackConfigurations(replacedFrom)\n',
        '  if (replacedFrom !== null && replacedFrom < 0) state.rollBackConfigurations(replacedFrom)\n'
      )
    ],
    plan: changing,
    seed: 899
  },
  {
    name: 'A21 a joint configuration is never left',
    changes: [
      change(
        'membership.ts',
        '  putInForce(state, leader, leaveJoint(configuration))',
        '  if (configurationIndex < 0) putInForce(state, leader, leaveJoint(configuration))'
      )
    ],
    plan: changing
  },
  {
    name: 'a deposed leader does not finish its own removal',
    changes: [change('election.ts', '  if (!state.mayCampaign) {', '  if (!state.isVoter) {')],
    plan: changing
  },
  {
    name: 'D7 a driver that sends acknowledgements before the disk has the entries',
    changes: [
      changeIn(
        'raft/driver/deferred-messages.ts',
        'if (until <= this.#durableWriteId) return',
        "if (until <= this.#durableWriteId || messages[0]?.kind === 'append-response') return"
      )
    ]
  },
  {
    name: 'D1 a driver that sends votes before the disk has them',
    changes: [
      changeIn(
        'raft/driver/deferred-messages.ts',
        'if (until <= this.#durableWriteId) return',
        "if (until <= this.#durableWriteId || messages[0]?.kind === 'vote-response') return"
      )
    ],
    plan: crashes,
    seed: 4904
  },
  {
    name: 'A13 a driver that counts the lease from the answer and not from the start of the round',
    changes: [
      changeIn(
        'raft/driver/carry-out.ts',
        'if (output.roundStarted !== null) lease.started(output.roundStarted, steppedAt)',
        'if (output.roundConfirmed !== null) lease.started(output.roundConfirmed, steppedAt)'
      )
    ]
  },
  {
    name: 'D14 lease trusts time across a suspended machine',
    changes: [
      changeIn(
        'raft/driver/lease.ts',
        'const wallElapsedMs = this.#clock.wallMs() - start.wallMs',
        'const wallElapsedMs = elapsedMs'
      ),
      changeIn(
        'raft/driver/lease.ts',
        'return Math.max(this.#clock.monotonicMs() - start.monotonicMs, this.#clock.wallMs() - start.wallMs)',
        'return this.#clock.monotonicMs() - start.monotonicMs'
      )
    ],
    plan: { size: 3, faults: { suspendUs: 200_000, pausedUs: 800_000 } }
  },
  {
    name: 'D26 work goes on under a leadership that lost its quorum',
    changes: [
      changeIn(
        'raft/driver/leadership-watch.ts',
        'if (nowMs - this.#ranAgainAtMs >= confirmWithinMs) {',
        'if (this.#ranAgainAtMs === Infinity) {'
      )
    ],
    plan: { size: 3, faults: { partitionUs: 300_000, partitionedUs: 2_000_000 } },
    seed: 56
  },
  {
    name: 'D26 a leadership goes on although nobody has confirmed it',
    changes: [
      changeIn(
        'raft/driver/leadership-watch.ts',
        "if (lease.elapsedMs() >= replacedAfterMs) return [this.#end(leadership, 'lease-lost')]",
        'if (leadership.term > 0) return []'
      )
    ],
    plan: { size: 3, faults: { partitionUs: 300_000, partitionedUs: 2_000_000 } },
    seed: 56
  },
  {
    name: 'D19 snapshot install drops the configuration',
    changes: [
      change(
        'state.ts',
        '    this.#configurations.restart(snapshot.held)',
        '    this.#configurations.restart({ index: 0, configuration: this.config.configuration })'
      )
    ],
    plan: { ...changing, snapshots }
  },
  {
    name: 'D19 snapshot install drops a valid suffix',
    changes: [
      change(
        'install.ts',
        'if (log.termAt(snapshot.index) === snapshot.term) log.commitTo(snapshot.index)\n    else state',
        'if (snapshot.index >= 0) state'
      )
    ],
    plan: { size: 3, snapshots, ...reordering, faults: { partitionUs: 200_000, partitionedUs: 300_000 } },
    seed: 822
  },
  {
    name: 'D20 compaction before the snapshot is durable',
    changes: [],
    sabotage: { compactsEarly: true },
    plan: { snapshots, faults: { crashUs: 200_000 } }
  },
  {
    name: 'D21 sessions missing from the snapshot',
    changes: [
      changeIn(
        'raft/state/replicated-state.ts',
        'records: this.#sessions.capture()',
        'records: new SessionTable().capture()'
      )
    ],
    plan: { callers, snapshots }
  },
  {
    name: 'D22 recovery truncates at an interior CRC failure',
    changes: [
      changeIn(
        'raft/storage/wal/torn-tail.ts',
        '      if (!isZero(segment.subarray(reading.end))) return false\n',
        '      if (!isZero(segment.subarray(reading.end))) return true\n'
      )
    ],
    plan: { size: 3, disk: { isLog: true }, faults: { rotUs: 300_000 } }
  },
  {
    name: 'D23 EIO ignored',
    changes: [
      changeIn(
        'raft/storage/wal/log-queue.ts',
        '        this.#abandon(group, storageFailed(cause))\n        break\n',
        '        storageFailed(cause)\n'
      )
    ],
    plan: { disk: { isLog: true, errors: 0.01 }, faults: { crashUs: 300_000 } }
  },
  {
    name: 'D24 lock expiry from the local clock in apply',
    changes: [
      changeIn(
        'plugin/replicated/lock-table.ts',
        '  readonly #changed: (change: LockChange) => void\n',
        '  readonly #changed: (change: LockChange) => void\n  readonly #sinceMs = new Map<string, number>()\n'
      ),
      changeIn(
        'plugin/replicated/lock-table.ts',
        '    const resource = this.#resourceOf(command, capacity)\n',
        `    const holder = this.get(name)\n    if (holder !== undefined && ${localClock} - (this.#sinceMs.get(name) ?? 0) > holder.ttlMs) this.#free('expired', holder, context)\n    const resource = this.#resourceOf(command, capacity)\n`
      ),
      changeIn(
        'plugin/replicated/lock-table.ts',
        '    this.#byToken.set(token, lock)\n',
        `    this.#byToken.set(token, lock)\n    this.#sinceMs.set(lock.name, ${localClock})\n`
      )
    ],
    plan: { callers }
  },
  {
    name: 'D25 token reused after a leader change',
    changes: [
      changeIn(
        'plugin/replicated/lock-table.ts',
        '    const token = context.index\n',
        '    const token = ++this.grants\n'
      ),
      changeIn(
        'plugin/replicated/lock-table.ts',
        '  readonly #changed: (change: LockChange) => void\n',
        '  readonly #changed: (change: LockChange) => void\n  grants = 0\n'
      ),
      changeIn(
        'plugin/replicated/cluster-state-machine.ts',
        '    this.fences.leadershipStarted(context)\n',
        '    this.fences.leadershipStarted(context)\n    this.locks.grants = 0\n'
      )
    ],
    plan: { callers }
  },
  {
    name: 'D25 token reused after a restore',
    changes: [
      changeIn(
        'plugin/replicated/lock-table.ts',
        '    const token = context.index\n',
        '    const token = ++this.grants\n'
      ),
      changeIn(
        'plugin/replicated/lock-table.ts',
        '  readonly #changed: (change: LockChange) => void\n',
        '  readonly #changed: (change: LockChange) => void\n  grants = 0\n'
      )
    ],
    plan: { callers, snapshots }
  },
  {
    name: 'D27 log time follows the wall clock',
    changes: [change('transitions.ts', 'logTime.stamp(now)', 'Math.floor(now.wallMs)')],
    plan: { faults: { wallClockUs: 500_000, wallClockMs: 7_200_000 } }
  },
  {
    name: 'D27 a new leader starts log time with its own wall clock',
    changes: [
      change(
        'replication.ts',
        '  if (log.lastIndex !== lastIndex || log.lastTerm !== lastTerm) state.logTime.received(log.lastTimeMs, state.now)\n',
        ''
      )
    ],
    plan: { faults: { wallClockUs: 500_000, wallClockMs: 7_200_000 } }
  },
  {
    name: 'D28 a young idempotency key is forgotten for a new one',
    changes: [
      changeIn('plugin/replicated/idempotency-table.ts', 'if (!this.#dropExpired(timeMs)) return', 'if (!this.#dropExpired(Infinity)) return')
    ],
    plan: { callers: { ...callers, keyed: 1, horizonMs: 30_000, maxBytes: 1_000 } }
  },
  {
    name: 'D28 a restore forgets idempotency keys',
    changes: [
      changeIn('plugin/replicated/idempotency-table.ts', 'encodeRecords(this.#queue.capture())', 'encodeRecords([])')
    ],
    plan: { callers: { ...callers, keyed: 1 }, snapshots }
  },
  {
    name: 'D28 idempotency keys are forgotten by the time of day',
    changes: [
      changeIn(
        'plugin/replicated/idempotency-table.ts',
        "{ timeMs }: Pick<ApplyContext, 'timeMs'>,",
        '{ timeOfDayMs: timeMs }: ApplyContext,'
      )
    ],
    plan: { callers: { ...callers, keyed: 1 }, faults: { wallClockUs: 500_000, wallClockMs: 7_200_000 } }
  },
  {
    name: 'a new sole voter does not wait for the leader that may be there',
    changes: [
      change(
        'raft.ts',
        '(state.isOnlyPossibleLeader || !isInContact(state))',
        '(state.isSoleVoter || !isInContact(state))'
      )
    ],
    plan: { ...changing, size: 2, faults: { campaignUs: 20_000 } }
  },
  {
    name: 'a node that suspects its leader votes before a lease could have ended',
    changes: [change('suspicion.ts', 'return state.leaseElapsed >= state.config.leaseTicks', 'return true')],
    plan: refusing
  },
  {
    name: 'a node that suspects its leader campaigns before a lease could have ended',
    changes: [
      change('suspicion.ts', 'leaseElapsed + inTicks >= config.leaseTicks + suspicion.yieldTicks', 'inTicks === 0')
    ],
    plan: refusing
  },
  {
    name: 'the answer to a heartbeat prolongs no silence towards a leader that is suspected',
    changes: [change('heartbeat.ts', '  state.leaseElapsed = 0\n', '')],
    plan: refusing
  },
  {
    name: 'a node that suspects its leader campaigns without a pre-vote',
    changes: [change('election.ts', 'if (state.isSoleVoter) {', 'if (state.isSoleVoter || state.suspicion !== null) {')],
    plan: refusing
  },
  {
    name: 'a session counts beats that are not in the log',
    changes: [
      changeIn(
        'plugin/primitives/process-session.ts',
        '    this.#sent.set(beat, startStopwatch(this.#context.clock))\n',
        '    this.#since = startStopwatch(this.#context.clock)\n    this.#sent.set(beat, this.#since)\n'
      )
    ],
    plan: applications
  },
  {
    name: 'who has waited longest for a lock is served last',
    changes: [
      changeIn(
        'plugin/replicated/lock-table.ts',
        '    resource.waiting.set(waiting.requestId, waiting)\n',
        '    const others = [...resource.waiting]\n    resource.waiting.clear()\n' +
          '    for (const [id, other] of [[waiting.requestId, waiting], ...others]) resource.waiting.set(id, other)\n'
      )
    ],
    plan: applications
  },
  {
    name: 'a run begins while another one may be at work',
    changes: [
      changeIn(
        'plugin/primitives/task-claim.ts',
        '    if (leftMs <= 0) return earlier.token\n',
        '    if (leftMs < Infinity) return earlier.token\n'
      )
    ],
    plan: applications
  },
  {
    name: 'a spread run goes on without its session',
    changes: [
      changeIn(
        'plugin/primitives/placed-worker.ts',
        'AbortSignal.any([ends.signal, session.signal])',
        'AbortSignal.any([ends.signal])'
      ),
      changeIn(
        'plugin/primitives/placed-worker.ts',
        '!isHere || this.#place.session !== session.id',
        'false'
      )
    ],
    plan: applications
  },
  {
    name: 'a slot that was cut runs again though it is to run at most once',
    changes: [
      changeIn('plugin/replicated/schedule-table.ts', "delivery === 'at-least-once' && isCut", 'isCut')
    ],
    plan: applications
  },
  {
    name: 'work that is done once begins beside another attempt',
    changes: [
      changeIn(
        'plugin/replicated/once-table.ts',
        "    if (current?.state === 'running') return current.run === run ? begun(current) : { kind: 'once-running', name }\n",
        "    if (current?.state === 'running' && current.run === run) return begun(current)\n"
      )
    ],
    plan: applications
  },
  {
    name: 'a watch begins one change late',
    changes: [
      changeIn(
        'plugin/replicated/map-history.ts',
        '(this.#changes[middle]?.revision ?? 0) <= revision',
        '(this.#changes[middle]?.revision ?? 0) <= revision + 1'
      )
    ],
    plan: applications
  },
  {
    name: 'a write of a holder that was replaced is applied',
    changes: [
      changeIn(
        'plugin/replicated/fence-table.ts',
        '    return token === undefined || token === this.#leadershipToken || this.#isLockToken(token)\n',
        '    return token === undefined || token <= this.#lastIndex\n'
      ),
      // Without the check before it, which is mostly right, on clocks that it could not trust.
      changeIn('plugin/primitives/lock-grant.ts', '    if (this.expiresInMs === 0) throw this.#lostError()\n  }', '  }')
    ],
    plan: { ...applications, drift: 0.01 }
  }
]

// This file runs from test/sim, and compiled from build/test/sim, where the source is one level further up.
const root = ['../../', '../../../']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((folder) => existsSync(join(folder, coreFolder, 'raft.ts'))) ?? ''

/** Compiles a copy of the source with the bug in it, and loads it. What is published never has these switches. */
export async function buildMutant (mutant: Mutant): Promise<Sabotage> {
  if (mutant.changes.length === 0) return mutant.sabotage ?? {}
  const isOfCore = mutant.changes.every(({ file }) => file.startsWith(coreFolder))
  const folder = mkdtempSync(join(tmpdir(), 'raft-mutant-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    for (const source of isOfCore ? [coreFolder] : ['src', 'test/sim']) compile(mutant, source, folder)
    const load = async <T>(path: string): Promise<T> =>
      (await import(/* @vite-ignore */ pathToFileURL(join(folder, path)).href)) as T
    const { RaftCore } = await load<{ RaftCore: CoreConstructor }>('src/raft/core/index.js')
    if (isOfCore) return { ...mutant.sabotage, core: RaftCore }
    const { FileStorage } = await load<{ FileStorage: StorageConstructor }>('src/raft/storage/file-storage.js')
    const { LeadershipLease } = await load<{ LeadershipLease: LeaseConstructor }>('src/raft/driver/lease.js')
    const { LeadershipWatch } = await load<{ LeadershipWatch: WatchConstructor }>('src/raft/driver/leadership-watch.js')
    const driver = {
      ...await load<Pick<DriverCode, 'carryOut' | 'sendDurable'>>('src/raft/driver/carry-out.js'),
      ...await load<Pick<DriverCode, 'DeferredMessages'>>('src/raft/driver/deferred-messages.js')
    }
    const state = {
      ...await load<Pick<StateCode, 'ReplicatedState'>>('src/raft/state/replicated-state.js'),
      ...await load<Pick<StateCode, 'ClusterStateMachine'>>('src/plugin/replicated/cluster-state-machine.js')
    }
    const { productionPrimitives: primitives } =
      await load<{ productionPrimitives: PrimitivesCode }>('test/sim/users/index.js')
    return {
      ...mutant.sabotage,
      core: RaftCore,
      driver,
      Lease: LeadershipLease,
      Watch: LeadershipWatch,
      Storage: FileStorage,
      state,
      primitives
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function compile (mutant: Mutant, source: string, folder: string): void {
  for (const name of readdirSync(join(root, source), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue
    const path = join(source, name)
    const { outputText } = ts.transpileModule(mutate(mutant, path, readFileSync(join(root, path), 'utf8')), {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2023,
        verbatimModuleSyntax: true,
        rewriteRelativeImportExtensions: true
      }
    })
    const target = join(folder, path.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, outputText)
  }
}

function mutate (mutant: Mutant, file: string, source: string): string {
  let result = source
  for (const { find, replace } of mutant.changes.filter((candidate) => candidate.file === file)) {
    if (result.split(find).length !== 2) {
      throw new Error(`mutant "${mutant.name}": ${file} does not hold exactly one ${JSON.stringify(find)}`)
    }
    result = result.replace(find, () => replace)
  }
  return result
}
