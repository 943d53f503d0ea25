import { FencedError, InvalidOptionsError, TooLargeError } from '../../raft/index.ts'
import type { MachineAnswer } from '../replicated/answer.ts'
import { encodeCommand } from '../replicated/command.ts'
import { isSafeJson } from '../replicated/json-value.ts'
import { limits } from '../replicated/limits.ts'
import type { AnyMachineDefinition, MachineDefinition } from '../replicated/user-machine.ts'
import { isIdempotencyKey, nestsWithin } from '../replicated/validate.ts'
import type { PrimitiveContext } from './context.ts'
import type { CallOptions } from './propose.ts'
import { proposeToMachine } from './propose.ts'
import type { ReadOptions } from './read.ts'
import { beforeRead } from './read.ts'
import { parseToken } from './token.ts'

/** Conditions of a command, and how long it may take. */
export interface MachineProposeOptions extends CallOptions {
  /** Apply only while this token, of a leadership or a lock, is valid. */
  readonly fence?: string | undefined
  /** Up to 200 characters: the same key applies once, and later calls, on whichever node, get the first answer. */
  readonly idempotencyKey?: string | undefined
}

/** How a state is read, and how long that may take. */
export type MachineReadOptions = ReadOptions

/**
 * A replicated state machine of the application.
 *
 * Besides the errors named below, calls reject as the engine does: `RAFT_NO_LEADER` and `RAFT_BUSY` (nothing was
 * executed), `RAFT_OUTCOME_UNKNOWN` (a command that may have been), or the reason of the signal.
 */
export interface Machine<State, Command, Answer> {
  readonly name: string
  readonly version: number
  /**
   * Replicates a command and resolves with what `apply` answered to it. The command is applied once, however often it
   * had to be sent.
   *
   * Rejects with `RAFT_INVALID_OPTIONS` (a command that is not JSON, or has a member `__proto__` or `constructor`),
   * `RAFT_TOO_LARGE` (over 1 MiB or 128 levels), `RAFT_FENCED` or `RAFT_IDEMPOTENCY_CONFLICT`.
   */
  propose: (command: Command, options?: MachineProposeOptions) => Promise<Answer>
  /** Resolves with what `select` takes from the state. It runs synchronously, and must not change anything. */
  read: <Selected>(select: (state: State) => Selected, options?: MachineReadOptions) => Promise<Selected>
}

/** Registers a state machine, and gives the handle on it. Throws as `Cluster.machine` says. */
export function createMachine<State, Command, Answer> (
  context: PrimitiveContext,
  name: string,
  definition: MachineDefinition<State, Command, Answer>
): Machine<State, Command, Answer> {
  // What the machine is given are its own states and commands again: it alone knows their types.
  const machine = context.machine.machines.register(name, definition as AnyMachineDefinition)
  return {
    name,
    version: machine.version,
    propose: async (command, options = {}) => {
      checkCommand(command)
      const bytes = encodeCommand({
        kind: 'machine',
        machine: name,
        version: machine.version,
        command,
        ...conditionsOf(options)
      })
      if (bytes.byteLength > limits.maxCommandBytes) {
        throw new TooLargeError(`The command is larger than ${limits.maxValueBytes} bytes`)
      }
      return answerOf<Answer>(await proposeToMachine(context, bytes, options), options)
    },
    read: async (select, options = {}) => {
      await beforeRead(context, options)
      return select(machine.state as State)
    }
  }
}

function checkCommand (command: unknown): void {
  if (!nestsWithin(command, limits.maxValueDepth)) {
    throw new TooLargeError(`The command nests deeper than ${limits.maxValueDepth} levels`)
  }
  let json: string | undefined
  try {
    json = JSON.stringify(command)
  } catch (cause) {
    throw new InvalidOptionsError('the command cannot be written as JSON', { cause })
  }
  if (json === undefined) throw new InvalidOptionsError('the command cannot be written as JSON')
  if (!isSafeJson(JSON.parse(json), limits.maxValueDepth)) {
    throw new InvalidOptionsError('the command has a member __proto__ or constructor, which no machine is given')
  }
}

function conditionsOf ({ fence, idempotencyKey }: MachineProposeOptions): { fence?: number, idempotencyKey?: string } {
  if (idempotencyKey !== undefined && !isIdempotencyKey(idempotencyKey)) {
    throw new InvalidOptionsError(`an idempotency key has 1 to ${limits.maxIdempotencyKeyLength} characters`)
  }
  return {
    ...(fence === undefined ? {} : { fence: parseToken(fence) }),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey })
  }
}

function answerOf<Answer> (
  answer: Exclude<MachineAnswer, { readonly kind: 'refused' }>,
  options: MachineProposeOptions
): Answer {
  if (answer.kind === 'fenced') throw new FencedError(options.fence)
  // A copy of the caller's own. What it is was for the machine to say.
  return (answer.answerJson === undefined ? undefined : JSON.parse(answer.answerJson)) as Answer
}
