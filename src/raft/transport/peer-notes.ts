/**
 * Notes between members: bytes that a node sends another one beside the log. They travel with the proofs of other
 * messages of peers, on the connections that are open, in the order in which they were sent, and at most once.
 */
export interface PeerNotes {
  /** Rejects when the note may not have arrived; with a `NotSentError` when it surely has not. */
  readonly send: (to: string, note: Uint8Array) => Promise<void>
  /**
   * Sets who takes the notes of members, in place of the one before. It must not keep the bytes. What it throws is the
   * answer to the sender, whose note has not arrived then.
   */
  readonly listen: (listener: NoteListener) => void
}

/** Takes a note of a member. */
export type NoteListener = (from: string, note: Uint8Array) => void
