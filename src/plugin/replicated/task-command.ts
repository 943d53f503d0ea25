/** Starts a run of a task, or of one of its workers, on a node, unless another run of it is at work. */
export interface TaskStartCommand {
  readonly kind: 'task-start'
  readonly name: string
  /** Number of the worker; 0 if left out, also for a task that has no workers. */
  readonly worker?: number
  /** The node that is to run it. */
  readonly node: string
  /** Random, chosen by the node: the same run again changes nothing. */
  readonly run: string
  /** The leadership that the run is to work under. */
  readonly fence?: number
  /** Instead of a leadership: the session that has the place of the worker. */
  readonly session?: number
  /** Start of an earlier run that is over for certain, or has had its time to stop: it may be replaced. */
  readonly over?: number
}

/** Ends a run of a task: it does nothing any more. */
export interface TaskStopCommand {
  readonly kind: 'task-stop'
  readonly name: string
  readonly worker?: number
  readonly run: string
}

/** A command on the table of tasks. */
export type TaskCommand = TaskStartCommand | TaskStopCommand
