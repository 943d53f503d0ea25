declare const brand: unique symbol

/**
 * A term: a non-negative safe integer; 0 means "before any election". Raft paper section 5.1.
 */
export type Term = number & { readonly [brand]: 'Term' }

/**
 * A log index: a non-negative safe integer; the first entry has index 1, and 0 means "before the log".
 */
export type Index = number & { readonly [brand]: 'Index' }

/**
 * The stable identity of a node. Never an address: a node keeps its id when it moves.
 */
export type NodeId = string & { readonly [brand]: 'NodeId' }

/** Brands a number as a {@link Term}. */
export function asTerm (value: number): Term {
  return value as Term
}

/** Brands a number as an {@link Index}. */
export function asIndex (value: number): Index {
  return value as Index
}

/** Brands a string as a {@link NodeId}. */
export function asNodeId (value: string): NodeId {
  return value as NodeId
}

/** One member and its address. The core passes addresses on and does not look at them. */
export interface ConfigurationMember {
  readonly id: NodeId
  readonly address: string
  /**
   * Incarnation of the member's log: drawn at random when the log is created; empty until the leader knows it. Once
   * recorded it stays as long as the member does: a node that comes back with another log is not that member, although
   * it has the same id. The core records it; the transport tells nodes apart by it.
   */
  readonly incarnation: string
  /** The member was a voter and was demoted: it is not on its way to become a voter. */
  readonly demoted?: true
}

/**
 * The members of the cluster and their roles, as an entry of the log says (paper section 6).
 *
 * While `outgoing` is not empty the configuration is joint: elections and commits need a majority of `voters` and one
 * of `outgoing`. Learners receive the log and count for neither (dissertation section 4.2.1).
 */
export interface Configuration {
  /**
   * Which cluster this is, among all of its name: random, put into the first configuration by the first leader, and
   * never changed. Undefined until then. The core compares it and gives it no other meaning.
   */
  readonly clusterUuid?: string
  readonly members: readonly ConfigurationMember[]
  readonly voters: readonly NodeId[]
  readonly outgoing: readonly NodeId[]
  readonly learners: readonly NodeId[]
}

interface EntryHead {
  readonly index: Index
  readonly term: Term
  /**
   * Log time in milliseconds: the stamp of the first entry is a time of day, and from then on it is counted by the
   * monotonic clocks of the leaders. Never falls along the log.
   */
  readonly timeMs: number
}

/**
 * Appended by a new leader so that it has an entry of its own term to commit (paper sections 5.4.2 and 8). Its index is
 * the fencing token of that leadership.
 */
interface NoopEntry extends EntryHead {
  readonly kind: 'noop'
}

/** A command for the state machine: opaque bytes. */
export interface CommandEntry extends EntryHead {
  readonly kind: 'command'
  readonly data: Uint8Array
}

/** The configuration that is in force from this entry on, committed or not (paper section 6). */
export interface ConfigurationEntry extends EntryHead {
  readonly kind: 'configuration'
  readonly configuration: Configuration
}

/** One entry of the replicated log. */
export type Entry = NoopEntry | CommandEntry | ConfigurationEntry

/** The kind of a log entry. */
export type EntryKind = Entry['kind']

/**
 * The state besides the log that must survive a crash (paper figure 2, "persistent state on all servers").
 * `commit` is a hint that saves work after a restart; losing it is safe.
 */
export interface HardState {
  readonly term: Term
  readonly vote: NodeId | null
  readonly commit: Index
}

/**
 * The last entry that a log no longer holds, because a snapshot covers it and all before it (paper section 7: last
 * included index and term), with its log time. Index and term are 0 for a whole log.
 */
export interface LogBase {
  readonly index: Index
  readonly term: Term
  /** Log time of that entry. */
  readonly timeMs: number
}

/** The base of a log that holds everything from its first entry on. */
export const wholeLog: LogBase = { index: asIndex(0), term: asTerm(0), timeMs: 0 }

/** The hard state of a node that has never run. */
export const emptyHardState: HardState = { term: asTerm(0), vote: null, commit: asIndex(0) }

/**
 * Why a node that led gave that up: it heard of a later term (`deposed`), heard from no quorum for an election timeout,
 * was asked to step down, is no voter any more (`removed`), or told another node to take over.
 */
export type LeadershipLoss = 'deposed' | 'quorum-lost' | 'stepped-down' | 'removed' | 'transferred'

/** What a node is at this moment (paper section 5.1; `pre-candidate` is section 9.6 of the dissertation). */
export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader'
