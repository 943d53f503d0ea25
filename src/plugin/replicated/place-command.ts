/** Offers a process for the workers of a task. The same offer again changes nothing. */
export interface PlaceJoinCommand {
  readonly kind: 'place-join'
  readonly name: string
  /** The node of the process. */
  readonly node: string
  /** The session of the process: the offer ends with it. */
  readonly session: number
  /** How many workers the task has, as that process knows it. */
  readonly workers: number
}

/** Takes such an offer back. */
export interface PlaceLeaveCommand {
  readonly kind: 'place-leave'
  readonly name: string
  readonly session: number
}

/** A command on the places of tasks. */
export type PlaceCommand = PlaceJoinCommand | PlaceLeaveCommand
