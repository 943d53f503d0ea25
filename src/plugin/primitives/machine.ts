import { FencedError, InvalidOptionsError, TooLargeError } from '../../raft/index.ts'
import type { MachineAnswer } from '../replicated/answer.ts'
import { encodeCommand } from '../replicated/command.ts'
import { isSafeJson, jsonFault } from '../replicated/json-value.ts'
import { limits } from '../replicated/limits.ts'
import type { AnyMachineDefinition, MachineDefinition } from '../replicated/user-machine.ts'
import type { WriteOptions } from './conditions.ts'
import { conditionsOf } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import { proposeToMachine } from './propose.ts'
import type { ReadOptions } from './read.ts'
import { beforeRead } from './read.ts'

/** Conditions of a command, and how long it may take. */
export type MachineProposeOptions = WriteOptions

/** How a state is read, and how long that may take. */
export type MachineReadOptions = ReadOptions

/**
 * A replicated state machine of the application.
 *
 * Besides the errors named below, calls reject with `RAFT_NO_LEADER` or `RAFT_BUSY` (nothing was executed),
 * `RAFT_OUTCOME_UNKNOWN` (the command may have been executed), or the reason of the signal.
 */
export interface ClusterMachine<State, Command, Answer> {
  /** Name of the machine, 1 to 100 characters. */
  readonly name: string
  /** Version of its definition on this node. */
  readonly version: number
  /**
   * Replicates a command and resolves with what `apply` answered to it. The command is applied once, however often it
   * had to be sent.
   *
   * Rejects with `RAFT_INVALID_OPTIONS` (a command that JSON does not carry unchanged, such as NaN or a member that is
   * undefined; the message names the place; or one with a member `__proto__` or `constructor`), `RAFT_TOO_LARGE` (over
   * 1 MiB or 128 levels), `RAFT_NOT_JSON` (what `apply` returned is not JSON), `RAFT_FENCED` or
   * `RAFT_IDEMPOTENCY_CONFLICT`. None of them changed anything.
   */
  propose: (command: Command, options?: MachineProposeOptions) => Promise<Answer>
  /**
   * Resolves with what `select` returns for the state. `select` runs synchronously and must not change the state; an
   * error that it throws is passed on.
   */
  read: <Selected>(select: (state: State) => Selected, options?: MachineReadOptions) => Promise<Selected>
}

/** Registers a state machine, and gives the handle on it. Throws as `Cluster.machine` says. */
export function createMachine<State, Command, Answer> (
  context: PrimitiveContext,
  name: string,
  definition: MachineDefinition<State, Command, Answer>
): ClusterMachine<State, Command, Answer> {
  // The machine is only given states and commands of its own, so that losing their types here does no harm.
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
        ...conditionsOf(context, options)
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
  const fault = jsonFault(command, { maxDepth: limits.maxValueDepth })
  if (fault?.reason === 'too-deep') {
    throw new TooLargeError(`The command nests deeper than ${limits.maxValueDepth} levels`)
  }
  if (fault !== null) throw new InvalidOptionsError(`the command is not JSON: ${fault.message}`)
  if (!isSafeJson(command, limits.maxValueDepth)) {
    throw new InvalidOptionsError('the command has a member __proto__ or constructor, which no machine is given')
  }
}

function answerOf<Answer> (
  answer: Exclude<MachineAnswer, { readonly kind: 'refused' }>,
  options: MachineProposeOptions
): Answer {
  if (answer.kind === 'fenced') throw new FencedError(options.fence)
  // The caller's own copy. Its type is what the definition says.
  return (answer.answerJson === undefined ? undefined : JSON.parse(answer.answerJson)) as Answer
}
