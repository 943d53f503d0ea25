import { isRaftError } from '../../raft/errors.ts'
import type { ListenAddress } from '../flags/flag-values.ts'

/** Where lines go: standard output, or an array in tests. */
export type Print = (line: string) => void

/** A failure whose message alone tells the person at the terminal what is wrong. */
export class PlainError extends Error {
  override readonly name = 'PlainError'
}

/** Part of the message of a server whose port is taken. The local cluster looks for it in the logs. */
export const portInUse = 'is in use. Stop what uses it'

/** How a failed command ends: its message and its exit code. Code 2 means that the command line is wrong. */
interface Failure {
  readonly message: string
  readonly exitCode: 1 | 2
}

/** Turns an error into one plain message for the person at the terminal. Unexpected errors keep their stack. */
export function describeFailure (error: unknown, listen: ListenAddress | null): Failure {
  if (!(error instanceof Error)) return { message: String(error), exitCode: 1 }
  if (error instanceof PlainError) return { message: error.message, exitCode: 1 }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (code === 'RAFT_INVALID_OPTIONS') return { message: error.message, exitCode: 2 }
  if (isRaftError(error)) return { message: `${error.message} (${code})`, exitCode: 1 }
  const listenProblem = listen === null ? null : describeListenProblem(code, listen)
  return { message: listenProblem ?? error.stack ?? error.message, exitCode: 1 }
}

function describeListenProblem (code: string, { host, port }: ListenAddress): string | null {
  switch (code) {
    case 'EADDRINUSE':
      return `Port ${port} on ${host} ${portInUse}, or choose another with --listen`
    case 'EACCES':
      return `Listening on port ${port} of ${host} is not allowed to this user. Choose a port above 1023 with --listen`
    case 'EADDRNOTAVAIL':
      return `This machine has no address ${host}. Choose one it has with --listen, for example 0.0.0.0:${port} for all`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `The host name ${host} is not known. Name an address of this machine with --listen`
    default:
      return null
  }
}
