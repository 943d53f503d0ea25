/** Why an attempt left nothing behind: its function threw, or its process lost its session before it ended. */
export type OnceEnd = 'failed' | 'crashed'

/** Begins an attempt at work that is done once, unless one is at work or the work is done. */
export interface OnceBeginCommand {
  readonly kind: 'once-begin'
  readonly name: string
  readonly version: string
  /** The node that makes the attempt. */
  readonly node: string
  /** Random, chosen by the node: the same run again changes nothing. */
  readonly run: string
  /** The session that the attempt ends with. */
  readonly session: number
}

/** Ends an attempt. */
export interface OnceFinishCommand {
  readonly kind: 'once-finish'
  readonly name: string
  readonly version: string
  readonly run: string
  /** The work is open again; otherwise it is done for good. */
  readonly failed: boolean
  /** What it returned as JSON text, empty for undefined; or why it failed. */
  readonly text: string
}

/** Forgets work that is done or open, so that it is done again. */
export interface OnceForgetCommand {
  readonly kind: 'once-forget'
  readonly name: string
  readonly version: string
}

/** A command on work that is done once. */
export type OnceCommand = OnceBeginCommand | OnceFinishCommand | OnceForgetCommand
