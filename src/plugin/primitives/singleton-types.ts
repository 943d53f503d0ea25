import type { LeadershipGrant, TaskGrant } from './grant.ts'

/** The work of a singleton. Runs while this node leads, and must end when the signal aborts. */
export type SingletonRun = (signal: AbortSignal, grant: LeadershipGrant) => void | Promise<void>

/** A place of a worker on this node, as given to work that runs there. */
export interface WorkerGrant extends TaskGrant {
  /**
   * Fencing token of the run, as a decimal string: the log index of its start. Valid until its end is committed, or
   * another run has replaced it. Tokens only rise.
   */
  readonly token: string
  /** Number of the worker, from 0; always 0 for a singleton. */
  readonly worker: number
  /**
   * Aborts when the work must end. The code of its reason says why:
   *
   * - `RAFT_HANDOVER`: another node has the place from now on, or this one closes;
   * - `RAFT_SESSION_LOST`: this process was cut off, stopped or blocked for longer than its session lives;
   * - `RAFT_STOPPED`: `stop` was called, or the node has failed.
   */
  readonly signal: AbortSignal
  /**
   * Throws `RAFT_SESSION_LOST` unless this run surely has its place now, and the signal's reason once that has aborted.
   * Compares clocks. Call it right before every outside effect.
   */
  readonly check: () => void
}

/** The work of a task that is spread over the nodes. Must end when the signal aborts. */
export type WorkerRun = (signal: AbortSignal, grant: WorkerGrant) => void | Promise<void>

/** Options of a task; the same on every node. */
export interface WorkersOptions {
  /** Called with every error that the run throws before its signal aborts. Must not throw. */
  readonly onError?: ((error: unknown) => void) | undefined
  /**
   * How long a run may take to end once its signal has aborted, in milliseconds, 0 to 3,600,000; default 1,000. The
   * next run waits so long after an unplanned change, when nothing says that the last run has ended: its node may be
   * cut off, and not dead.
   */
  readonly stopGraceMs?: number | undefined
  /**
   * How long after an unplanned change the next run waits on top, in milliseconds, 0 to 3,600,000; default 0: for what
   * the last run has sent and no token can stop, such as a request to another system.
   */
  readonly handoverDelayMs?: number | undefined
  /**
   * What happens to a run that is at work when the lease of the leader, or the session of the process, ends. `abort`,
   * the default: its signal aborts. `exit`: a thread ends the whole process, even while the main thread is blocked,
   * unless the run returns within 100 ms; with SIGKILL and a last line on standard error. For effects that no token can
   * fence.
   */
  readonly onLeaseLost?: 'abort' | 'exit' | undefined
}

/** Options of a singleton that runs on the leader; the same on every node. */
export interface SingletonOptions extends WorkersOptions {
  /** `leader`, the default: it runs where the leader is, and moves with it. */
  readonly placement?: 'leader' | undefined
}

/** Options of a singleton that runs on any node, as the hash of its name says. */
export interface SpreadOptions extends WorkersOptions {
  /** It runs on the node that rendezvous hashing of its name chooses among those that offer it. */
  readonly placement: 'spread'
}

/**
 * State of a singleton on this node.
 *
 * - `waiting`: it has its place on another node, or the last run may still be at work on another one.
 * - `running`: the run is at work.
 * - `stopping`: the signal has aborted and the run has not returned yet.
 * - `backing-off`: the run threw, and starts again after 1 s to 60 s.
 * - `finished`: the run returned; it starts again at the next leadership, or the next place.
 * - `stopped`: `stop` was called.
 */
export type SingletonState = 'waiting' | 'running' | 'stopping' | 'backing-off' | 'finished' | 'stopped'

/** A task that a node has registered, in its status. */
export interface TaskStatus {
  /** The same on every node. */
  readonly name: string
  /** Where it runs: on the leader, or spread over the nodes. */
  readonly placement: 'leader' | 'spread'
  /** What it does on this node now; for each of its workers, by their numbers. */
  readonly states: readonly SingletonState[]
}

/** A task that runs on one node of the cluster at a time. */
export interface ClusterSingleton extends AsyncDisposable {
  /** Its name; the same on every node. */
  readonly name: string
  /** What it does on this node now. */
  readonly state: SingletonState
  /** The last error that the run threw on this node; undefined when it threw none. */
  readonly lastError: unknown
  /**
   * Aborts the run with `RAFT_STOPPED` and resolves when it has returned and the cluster knows. The name can then be
   * used again. Never rejects.
   */
  stop: () => Promise<void>
}

/** A task whose workers, each with a number from 0, run on one node of the cluster at a time. */
export interface ClusterWorkers extends AsyncDisposable {
  /** Its name; the same on every node. */
  readonly name: string
  /** What each of the workers does on this node now, by its number. */
  readonly states: readonly SingletonState[]
  /** The last error that one of them threw on this node; undefined when none did. */
  readonly lastError: unknown
  /**
   * Leaves the workers to other nodes: aborts those that run here with `RAFT_STOPPED`, and resolves when they have
   * returned and the cluster knows. The name can then be used again. Never rejects.
   */
  readonly stop: () => Promise<void>
}

/** See `Cluster.singleton`. */
export interface SingletonMethod {
  /** On the leader: the run is given the leadership. */
  (name: string, run: SingletonRun, options?: SingletonOptions): ClusterSingleton
  /** On any node: the run is given its place. */
  (name: string, run: WorkerRun, options: SpreadOptions): ClusterSingleton
}
