import { decodeEnvelope } from './command-envelope.ts'
import type { ReserveUse, StateMachine } from './state-machine.ts'

/**
 * Why the leader may write a command of the log although space is low, or null. Sessions are opened for that too: a
 * node without one could neither release its locks nor delete a key.
 */
export function reserveUseOf (machine: StateMachine, data: Uint8Array): ReserveUse | null {
  let command
  try {
    command = decodeEnvelope(data)
  } catch {
    // What a peer sent is no command: it is refused like any other when there is space.
    return null
  }
  switch (command.kind) {
    case 'open': return 'frees'
    case 'command': return machine.reserveUse?.(command.payload) ?? null
    case 'checkpoint':
    case 'clock': return null
  }
}
