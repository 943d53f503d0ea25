import { MalformedMessageError } from '../errors.ts'
import { BinaryReader, BinaryWriter } from '../runtime/binary.ts'

/** A command as the log holds it: with its client session and its sequence in that session. */
export type CommandEnvelope =
  | {
    /** Opens a session; its id is the index of this entry. The opener recognises its own session by the nonce. */
    readonly kind: 'open'
    readonly nonce: Uint8Array
    /** The session ends when it was not used for this many milliseconds of log time. */
    readonly ttlMs: number
  }
  | {
    readonly kind: 'command'
    readonly session: number
    readonly sequence: number
    /** The client has no open command below this sequence; none will be sent again. */
    readonly lowestOpen: number
    readonly payload: Uint8Array
  }
  | {
    /** The hash that the leader's state had after the entry at `index`; changes nothing. */
    readonly kind: 'checkpoint'
    readonly index: number
    readonly hash: Uint8Array
  }
  | {
    /** The leader's wall clock, in milliseconds since the epoch; sets the time of day for the entries behind it. */
    readonly kind: 'clock'
    readonly wallMs: number
  }

export const nonceBytes = 16
/** Length of a hash of the state, in bytes. */
const hashBytes = 32

/** The order is the format of the log: append only. */
const tags = { open: 0, command: 1, checkpoint: 2, clock: 3 } as const

export function encodeEnvelope (command: CommandEnvelope): Uint8Array {
  const writer = new BinaryWriter(command.kind === 'command' ? command.payload.byteLength + 32 : 48)
  writer.byte(tags[command.kind])
  if (command.kind === 'open') {
    writer.raw(command.nonce)
    writer.number(command.ttlMs)
  } else if (command.kind === 'checkpoint') {
    writer.number(command.index)
    writer.raw(command.hash)
  } else if (command.kind === 'clock') {
    writer.number(command.wallMs)
  } else {
    writer.number(command.session)
    writer.number(command.sequence)
    writer.number(command.lowestOpen)
    writer.raw(command.payload)
  }
  return writer.finish()
}

/** Throws `RAFT_MALFORMED_MESSAGE` for anything that {@link encodeEnvelope} does not produce. */
export function decodeEnvelope (data: Uint8Array): CommandEnvelope {
  const reader = new BinaryReader(data)
  const tag = reader.byte()
  if (tag === tags.open) {
    const nonce = reader.raw(nonceBytes)
    const ttlMs = reader.number()
    reader.end()
    return { kind: 'open', nonce, ttlMs }
  }
  if (tag === tags.checkpoint) {
    const index = reader.number()
    const hash = reader.raw(hashBytes)
    reader.end()
    return { kind: 'checkpoint', index, hash }
  }
  if (tag === tags.clock) {
    const wallMs = reader.number()
    reader.end()
    return { kind: 'clock', wallMs }
  }
  if (tag !== tags.command) throw new MalformedMessageError('a command of an unknown kind')
  const session = reader.number()
  const sequence = reader.number()
  const lowestOpen = reader.number()
  return { kind: 'command', session, sequence, lowestOpen, payload: reader.raw(reader.remaining) }
}
