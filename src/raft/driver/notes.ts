import { asNodeId } from '../core/index.ts'
import type { HttpTransport } from '../transport/http-transport.ts'
import { NotSentError } from '../transport/not-sent.ts'
import type { NoteListener, PeerNotes } from '../transport/peer-notes.ts'
import type { RaftNode } from './node.ts'

/** The notes of a node that runs. */
export class Notes implements PeerNotes {
  readonly #node: Pick<RaftNode, 'isRunning'>
  readonly #transport: Pick<HttpTransport, 'sendNote'>
  /** Takes the notes of members; null while nobody does. */
  listener: NoteListener | null = null

  constructor (node: Pick<RaftNode, 'isRunning'>, transport: Pick<HttpTransport, 'sendNote'>) {
    this.#node = node
    this.#transport = transport
  }

  readonly send = async (to: string, note: Uint8Array): Promise<void> => {
    if (!this.#node.isRunning) throw new NotSentError('this node does not run')
    await this.#transport.sendNote(asNodeId(to), note)
  }

  readonly listen = (listener: NoteListener): void => { this.listener = listener }
}
