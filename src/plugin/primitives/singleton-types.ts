import type { LeadershipGrant } from './grant.ts'

/** The work of a singleton. Runs while this node leads, and must end when the signal aborts. */
export type SingletonRun = (signal: AbortSignal, grant: LeadershipGrant) => void | Promise<void>

/** Options of a singleton; the same on every node. */
export interface SingletonOptions {
  /** Called with every error that the run throws before its signal aborts. Must not throw. */
  readonly onError?: ((error: unknown) => void) | undefined
  /**
   * How long a run may take to end once its signal has aborted, in milliseconds, 0 to 3,600,000; default 1,000. The
   * next run waits so long after an unplanned change of leader, when nothing says that the last run has ended: its node
   * may be cut off, and not dead.
   */
  readonly stopGraceMs?: number | undefined
  /**
   * How long after an unplanned change the next run waits on top, in milliseconds, 0 to 3,600,000; default 0: for what
   * the last run has sent and no token can stop, such as a request to another system.
   */
  readonly handoverDelayMs?: number | undefined
  /**
   * What happens to a run that is at work when the lease ends. `abort`, the default: its signal aborts. `exit`: a
   * thread ends the whole process, even while the main thread is blocked, unless the run returns within 100 ms; with
   * SIGKILL and a last line on standard error. For effects that no token can fence.
   */
  readonly onLeaseLost?: 'abort' | 'exit' | undefined
}

/**
 * State of a singleton on this node.
 *
 * - `waiting`: this node does not lead, or the last run may still be at work on another one.
 * - `running`: the run is at work.
 * - `stopping`: the signal has aborted and the run has not returned yet.
 * - `backing-off`: the run threw, and starts again after 1 s to 60 s.
 * - `finished`: the run returned; it starts again at the next leadership.
 * - `stopped`: `stop` was called.
 */
export type SingletonState = 'waiting' | 'running' | 'stopping' | 'backing-off' | 'finished' | 'stopped'

/** A task that runs on one node of the cluster at a time: the one that leads. */
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
