import type { CoreLimits } from '../../src/raft/core/index.ts'
import { SimRandom } from './random.ts'

/** What one seed simulates: the swarm draws a new mixture each time. Times are in simulated microseconds. */
export interface SimPlan {
  readonly size: number
  readonly tickUs: number
  readonly heartbeatTicks: number
  readonly electionTicksMin: number
  readonly electionTicksMax: number
  /** Ticks for which a node that answered a heartbeat refuses its vote at least; leases are shorter. */
  readonly leaseTicks: number
  /** Clocks run at a rate within 1 ± this. */
  readonly drift: number
  readonly limits: CoreLimits
  readonly durationUs: number
  readonly network: {
    readonly loss: number
    readonly duplication: number
    readonly delayMinUs: number
    readonly delayMaxUs: number
    /** Share of messages that take up to `strayUs` instead. */
    readonly strays: number
    readonly strayUs: number
    /** Share of lost messages that the sender is told of. */
    readonly lossReports: number
  }
  readonly disk: {
    readonly minUs: number
    readonly maxUs: number
    readonly stalls: number
    readonly stallUs: number
    /** Every write is complete within the step that asked for it. */
    readonly isImmediate: boolean
    /** The disk holds the production log as bytes, not entry by entry. */
    readonly isLog: boolean
    /** Share of writes of a log that fail for good. */
    readonly errors: number
  }
  /** Mean time between two faults of a kind; 0: never. */
  readonly faults: {
    readonly crashUs: number
    readonly downUs: number
    readonly partitionUs: number
    readonly partitionedUs: number
    readonly pauseUs: number
    readonly pausedUs: number
    /** A leader stands still for less than an election takes: its lease lapses, and its term goes on. */
    readonly lapseUs: number
    /** A file system is full for up to `fullForUs`; only with logs. */
    readonly fullUs: number
    readonly fullForUs: number
    /**
     * A node crashes, and a bit of its log changes; only with logs and members that stay, and on few enough of them.
     */
    readonly rotUs: number
    /** A suspended machine's monotonic clock stands still. */
    readonly suspendUs: number
    /**
     * A wall clock is set, by up to `wallClockMs` either way. Never in a run with suspended machines: the two could
     * hide each other.
     */
    readonly wallClockUs: number
    readonly wallClockMs: number
    readonly stepDownUs: number
    readonly campaignUs: number
    readonly transferUs: number
    readonly massCrashUs: number
    /**
     * Connections to a node are refused to some of the others for up to `refusedUs`, whether it runs or not; 0: never,
     * not even to one that crashed.
     */
    readonly refusalUs: number
    readonly refusedUs: number
  }
  readonly load: {
    readonly proposeUs: number
    readonly readUs: number
    readonly maxBatch: number
    readonly maxCommandBytes: number
  }
  readonly callers: {
    readonly count: number
    /** Mean time between two calls of one caller. */
    readonly thinkUs: number
    readonly timeoutMs: number
    readonly sessionTtlMs: number
    readonly keys: number
    readonly locks: number
    /** Share of writes that carry an idempotency key, and are called again with it until they are answered. */
    readonly keyed: number
    /** How long such a key is remembered, and how much may be remembered. */
    readonly horizonMs: number
    readonly maxBytes: number
  }
  /** Applications that use the primitives of the plugin on every node. */
  readonly users: {
    /** Mean time between two things that one of them does, in milliseconds; 0: there are none. */
    readonly thinkMs: number
    readonly locks: number
    readonly sessionTtlMs: number
  }
  readonly snapshots: {
    /** Mean time between two snapshots anywhere; 0: never. */
    readonly takeUs: number
    readonly keepEntries: number
    readonly sendMaxUs: number
    /** Share of snapshots that the node crashes in the middle of. */
    readonly interrupted: number
  }
  readonly membership: {
    /** Nodes that run from the start and are no members until they are added. */
    readonly spares: number
    /** Mean time between two changes; 0: never. */
    readonly configureUs: number
    /** Share of changes and transfers that something goes wrong in the middle of. */
    readonly interrupted: number
  }
  readonly otherCluster: {
    /** Nodes that have founded another cluster of the same name, and count a node of this one as a member; 0: none. */
    readonly nodes: number
  }
}

/** Part of a plan that a caller fixes. */
export type PlanOverride = { readonly [K in keyof SimPlan]?: SimPlan[K] extends number ? number : Partial<SimPlan[K]> }

type DrawnTiming = Pick<SimPlan, 'heartbeatTicks' | 'electionTicksMin'>

function isGroup (value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** Two overrides in one; where both fix something, the second one counts. */
export function mergeOverrides (first: PlanOverride, second: PlanOverride): PlanOverride {
  const merged: Record<string, unknown> = { ...first }
  for (const [name, value] of Object.entries(second)) {
    const before = merged[name]
    merged[name] = isGroup(before) && isGroup(value) ? { ...before, ...value } : value
  }
  return merged
}

function drawLimits (random: SimRandom): CoreLimits {
  const tight = random.chance(0.4)
  return {
    maxEntriesPerAppend: tight ? random.between(1, 3) : random.between(4, 64),
    maxBytesPerAppend: tight ? random.between(1, 64) : 4_096,
    maxInFlightAppends: tight ? random.between(1, 3) : 16,
    maxInFlightBytes: tight ? random.between(16, 256) : 65_536,
    maxUncommittedBytes: random.chance(0.3) ? random.between(32, 512) : 1_048_576,
    maxPendingReads: random.chance(0.2) ? random.between(1, 4) : 1_000
  }
}

function sometimes (random: SimRandom, probability: number, value: () => number): number {
  return random.chance(probability) ? value() : 0
}

/** No changes of membership. */
export const fixedMembers: SimPlan['membership'] = { spares: 0, configureUs: 0, interrupted: 0 }

function drawMembership (random: SimRandom, size: number, electionUs: number): SimPlan['membership'] {
  if (random.chance(0.4)) return fixedMembers
  return {
    spares: random.between(0, Math.min(3, 8 - size)),
    configureUs: random.between(1, 10) * electionUs,
    interrupted: random.pick([0, 0.2, 0.6])
  }
}

function drawCallers (seed: number, electionUs: number): SimPlan['callers'] {
  const random = new SimRandom(seed, 'callers')
  const keyed = new SimRandom(seed, 'keyed')
  return {
    count: random.between(1, 5),
    thinkUs: random.between(1, 6) * electionUs,
    timeoutMs: random.between(2, 12) * electionUs / 1_000,
    sessionTtlMs: random.pick([10_000, 86_400_000]),
    keys: random.between(1, 4),
    locks: random.between(1, 3),
    keyed: keyed.pick([0, 0.5, 0.9]),
    horizonMs: keyed.pick([10_000, 10_000, 30_000, 600_000]),
    maxBytes: keyed.pick([10_000, 1_000_000, 1_000_000])
  }
}

/** No applications. */
export const noUsers: SimPlan['users'] = { thinkMs: 0, locks: 1, sessionTtlMs: 10_000 }

/** Every third seed has applications: they take as much time as all else together. */
function drawUsers (random: SimRandom, electionUs: number): SimPlan['users'] {
  if (!random.chance(0.33)) return noUsers
  return {
    thinkMs: random.between(1, 8) * electionUs / 1_000,
    locks: random.between(1, 3),
    sessionTtlMs: random.pick([1_000, 2_000, 10_000])
  }
}

/** No other cluster. */
export const alone: SimPlan['otherCluster'] = { nodes: 0 }

/** No snapshots. */
export const wholeLogs: SimPlan['snapshots'] = { takeUs: 0, keepEntries: 0, sendMaxUs: 0, interrupted: 0 }

function drawSnapshots (random: SimRandom, electionUs: number): SimPlan['snapshots'] {
  if (random.chance(0.3)) return wholeLogs
  return {
    takeUs: random.between(1, 20) * electionUs,
    keepEntries: random.pick([0, 0, 1, 5, 50]),
    sendMaxUs: random.pick([5_000, electionUs, 4 * electionUs]),
    interrupted: random.pick([0, 0.1, 0.4])
  }
}

function drawClocks (
  random: SimRandom,
  electionUs: number
): Pick<SimPlan['faults'], 'suspendUs' | 'wallClockUs' | 'wallClockMs'> {
  const meanUs = random.between(5, 40) * electionUs
  switch (random.pick(['steady', 'steady', 'suspended', 'set'] as const)) {
    case 'steady':
      return { suspendUs: 0, wallClockUs: 0, wallClockMs: 0 }
    case 'suspended':
      return { suspendUs: meanUs, wallClockUs: 0, wallClockMs: 0 }
    case 'set':
      return { suspendUs: 0, wallClockUs: meanUs, wallClockMs: random.pick([100, 5_000, 7_200_000]) }
  }
}

function drawLapses (random: SimRandom, electionUs: number): number {
  return sometimes(random, 0.4, () => random.between(3, 20) * electionUs)
}

/** Most seeds have some: a hint that is wrong must do no harm. */
function drawRefusals (random: SimRandom, electionUs: number): Pick<SimPlan['faults'], 'refusalUs' | 'refusedUs'> {
  return {
    refusalUs: sometimes(random, 0.7, () => random.between(2, 20) * electionUs),
    refusedUs: random.between(1, 4) * electionUs
  }
}

/** Leases that last as long as they can: a plan cuts them to the shortest election timeout. */
export const longLeaseTicks = 1_000

/** A lease ends with the shortest election timeout, or earlier. */
function drawLeaseTicks (random: SimRandom, { heartbeatTicks, electionTicksMin }: DrawnTiming): number {
  return random.chance(0.3) ? electionTicksMin : random.between(heartbeatTicks + 1, electionTicksMin)
}

/** A third of the seeds run the log as bytes. */
function drawLogs (
  random: SimRandom,
  electionUs: number
): { readonly disk: Partial<SimPlan['disk']>; readonly faults: Partial<SimPlan['faults']> } {
  if (!random.chance(0.33)) return { disk: {}, faults: {} }
  return {
    disk: { isLog: true, errors: sometimes(random, 0.5, () => random.next() * 0.01) },
    faults: {
      fullUs: sometimes(random, 0.3, () => random.between(20, 100) * electionUs),
      fullForUs: random.between(1, 20) * electionUs,
      rotUs: sometimes(random, 0.4, () => random.between(50, 300) * electionUs)
    }
  }
}

/** Draws the plan of a seed. What can be switched off as a whole is drawn apart, so that all else stays. */
export function drawPlan (seed: number, random: SimRandom, override: PlanOverride = {}): SimPlan {
  const tickUs = 10_000
  const heartbeatTicks = random.between(1, 3)
  const electionTicksMin = heartbeatTicks * random.between(2, 5) + random.between(1, 3)
  const electionTicksMax = electionTicksMin + random.between(2, 2 * electionTicksMin)
  const electionUs = electionTicksMin * tickUs
  const plan: SimPlan = {
    size: random.pick([1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7]),
    tickUs,
    heartbeatTicks,
    electionTicksMin,
    electionTicksMax,
    leaseTicks: electionTicksMin,
    drift: random.pick([0, 0, 0.01, 0.1, 0.25]),
    limits: drawLimits(random),
    durationUs: 60_000_000,
    network: {
      loss: sometimes(random, 0.6, () => random.next() * 0.25),
      duplication: sometimes(random, 0.6, () => random.next() * 0.25),
      delayMinUs: random.between(50, 2_000),
      delayMaxUs: random.pick([2_000, 10_000, 20_000, Math.floor(electionUs / 2)]),
      strays: sometimes(random, 0.5, () => random.next() * 0.15),
      strayUs: random.between(1, 8) * electionUs,
      lossReports: random.pick([0, 0.5, 1])
    },
    disk: {
      minUs: random.between(0, 500),
      maxUs: random.pick([500, 5_000, 20_000, electionUs]),
      stalls: sometimes(random, 0.4, () => random.next() * 0.05),
      stallUs: random.between(1, 4) * electionUs,
      isImmediate: false,
      isLog: false,
      errors: 0
    },
    faults: {
      crashUs: sometimes(random, 0.7, () => random.between(3, 30) * electionUs),
      downUs: random.pick([tickUs, electionUs, 6 * electionUs]),
      partitionUs: sometimes(random, 0.7, () => random.between(3, 30) * electionUs),
      partitionedUs: random.between(1, 10) * electionUs,
      pauseUs: sometimes(random, 0.4, () => random.between(5, 40) * electionUs),
      pausedUs: random.between(1, 3) * electionUs,
      lapseUs: drawLapses(new SimRandom(seed, 'lapses'), electionUs),
      fullUs: 0,
      fullForUs: 0,
      rotUs: 0,
      suspendUs: 0,
      wallClockUs: 0,
      wallClockMs: 0,
      stepDownUs: sometimes(random, 0.2, () => random.between(5, 40) * electionUs),
      campaignUs: sometimes(random, 0.2, () => random.between(3, 30) * electionUs),
      transferUs: sometimes(random, 0.3, () => random.between(3, 20) * electionUs),
      massCrashUs: sometimes(random, 0.2, () => random.between(20, 60) * electionUs),
      ...drawRefusals(new SimRandom(seed, 'refusals'), electionUs)
    },
    load: {
      proposeUs: random.between(1, 8) * tickUs,
      readUs: random.between(1, 8) * tickUs,
      maxBatch: random.between(1, 4),
      maxCommandBytes: random.pick([4, 16, 200])
    },
    callers: drawCallers(seed, electionUs),
    users: drawUsers(new SimRandom(seed, 'users'), electionUs),
    snapshots: drawSnapshots(new SimRandom(seed, 'snapshots'), electionUs),
    membership: fixedMembers,
    otherCluster: alone
  }
  const logs = drawLogs(new SimRandom(seed, 'logs'), electionUs)
  const timing = { ...plan, ...override }
  const leaseTicks = override.leaseTicks ?? drawLeaseTicks(new SimRandom(seed, 'leases'), timing)
  return {
    ...timing,
    leaseTicks: Math.min(leaseTicks, timing.electionTicksMin),
    limits: { ...plan.limits, ...override.limits },
    network: { ...plan.network, ...override.network },
    disk: { ...plan.disk, ...logs.disk, ...override.disk },
    faults: {
      ...plan.faults,
      ...logs.faults,
      ...drawClocks(new SimRandom(seed, 'clocks'), electionUs),
      ...override.faults
    },
    load: { ...plan.load, ...override.load },
    callers: { ...plan.callers, ...override.callers },
    users: { ...plan.users, ...override.users },
    snapshots: { ...plan.snapshots, ...override.snapshots },
    membership: {
      ...drawMembership(new SimRandom(seed, 'membership'), override.size ?? plan.size, electionUs),
      ...override.membership
    },
    otherCluster: {
      nodes: new SimRandom(seed, 'another cluster').chance(0.3) ? 2 : 0,
      ...override.otherCluster
    }
  }
}
