import type { WaitOptions } from '../../raft/index.ts'
import {
  BusyError,
  IdempotencyConflictError,
  MalformedCommandError,
  NotJsonError,
  TooLargeError
} from '../../raft/index.ts'
import type {
  Answer,
  LockAnswer,
  MachineAnswer,
  MapAnswer,
  OnceAnswer,
  OwnerSessionAnswer,
  PublishedAnswer,
  RefusedAnswer,
  RequestAnswer,
  ScheduleAnswer,
  TallyAnswer,
  TaskAnswer
} from '../replicated/answer.ts'
import type {
  BroadcastCommand,
  LockCommand,
  MapCommand,
  OwnerSessionCommand,
  RequestCommand
} from '../replicated/command.ts'
import { encodeCommand } from '../replicated/command.ts'
import type { OnceCommand } from '../replicated/once-command.ts'
import type { ScheduleCommand } from '../replicated/schedule-command.ts'
import type { TallyCommand } from '../replicated/tally-command.ts'
import type { TaskCommand } from '../replicated/task-command.ts'
import type { PrimitiveContext } from './context.ts'
import { waitOptions } from './context.ts'

/**
 * Proposes a command on a map and resolves with its answer; a refusal of the command is thrown.
 * Rejects as `Engine.propose` does.
 */
export async function proposeToMap (
  context: PrimitiveContext,
  command: MapCommand,
  options: WaitOptions
): Promise<Exclude<MapAnswer, RefusedAnswer>> {
  return accepted((await context.engine.propose(encodeCommand(command), waitOptions(context, options))) as MapAnswer)
}

/** Proposes a command on a lock; otherwise as {@link proposeToMap}. */
export async function proposeToLock (
  context: PrimitiveContext,
  command: LockCommand,
  options: WaitOptions
): Promise<Exclude<LockAnswer, RefusedAnswer>> {
  return accepted((await context.engine.propose(encodeCommand(command), waitOptions(context, options))) as LockAnswer)
}

/** Proposes a command on sessions that own things; otherwise as {@link proposeToMap}. */
export async function proposeToSession (
  context: PrimitiveContext,
  command: OwnerSessionCommand,
  options: WaitOptions = {}
): Promise<Exclude<OwnerSessionAnswer, RefusedAnswer>> {
  const answer = await context.engine.propose(encodeCommand(command), waitOptions(context, options))
  return accepted(answer as OwnerSessionAnswer)
}

/** Proposes a command on numbers and buckets; otherwise as {@link proposeToMap}. */
export async function proposeToTally (
  context: PrimitiveContext,
  command: TallyCommand,
  options: WaitOptions
): Promise<Exclude<TallyAnswer, RefusedAnswer>> {
  return accepted((await context.engine.propose(encodeCommand(command), waitOptions(context, options))) as TallyAnswer)
}

/** Proposes a command on the key of a request; otherwise as {@link proposeToMap}. */
export async function proposeToRequest (
  context: PrimitiveContext,
  command: RequestCommand,
  options: WaitOptions = {}
): Promise<Exclude<RequestAnswer, RefusedAnswer>> {
  const answer = await context.engine.propose(encodeCommand(command), waitOptions(context, options))
  return accepted(answer as RequestAnswer)
}

/** Proposes a command on a task; otherwise as {@link proposeToMap}. */
export async function proposeToTask (
  context: PrimitiveContext,
  command: TaskCommand,
  options: WaitOptions = {}
): Promise<Exclude<TaskAnswer, RefusedAnswer>> {
  const answer = await context.engine.propose(encodeCommand(command), waitOptions(context, options))
  return accepted(answer as TaskAnswer)
}

/** Proposes a message for all nodes; otherwise as {@link proposeToMap}. */
export async function proposeBroadcast (
  context: PrimitiveContext,
  command: BroadcastCommand,
  options: WaitOptions
): Promise<PublishedAnswer> {
  const answer = await context.engine.propose(encodeCommand(command), waitOptions(context, options))
  return accepted(answer as PublishedAnswer | RefusedAnswer)
}

/** Proposes a command on a schedule; otherwise as {@link proposeToMap}. */
export async function proposeToSchedule (
  context: PrimitiveContext,
  command: ScheduleCommand,
  options: WaitOptions = {}
): Promise<Exclude<ScheduleAnswer, RefusedAnswer>> {
  const answer = await context.engine.propose(encodeCommand(command), waitOptions(context, options))
  return accepted(answer as ScheduleAnswer)
}

/** Proposes a command on work that is done once; otherwise as {@link proposeToMap}. */
export async function proposeToOnce (
  context: PrimitiveContext,
  command: OnceCommand,
  options: WaitOptions = {}
): Promise<Exclude<OnceAnswer, RefusedAnswer>> {
  const answer = await context.engine.propose(encodeCommand(command), waitOptions(context, options))
  return accepted(answer as OnceAnswer)
}

/** Proposes an encoded command on a state machine of the application; otherwise as {@link proposeToMap}. */
export async function proposeToMachine (
  context: PrimitiveContext,
  command: Uint8Array,
  options: WaitOptions
): Promise<Exclude<MachineAnswer, RefusedAnswer>> {
  return accepted((await context.engine.propose(command, waitOptions(context, options))) as MachineAnswer)
}

function accepted<A extends Answer> (answer: A): Exclude<A, RefusedAnswer> {
  if (answer.kind === 'refused') throw errorOf(answer)
  return answer as Exclude<A, RefusedAnswer>
}

function errorOf (refusal: RefusedAnswer): Error {
  switch (refusal.code) {
    case 'RAFT_TOO_LARGE': return new TooLargeError(refusal.message)
    case 'RAFT_BUSY': return new BusyError(refusal.message)
    case 'RAFT_IDEMPOTENCY_CONFLICT': return new IdempotencyConflictError(refusal.message)
    case 'RAFT_NOT_JSON': return new NotJsonError(refusal.message)
    case 'RAFT_MALFORMED_COMMAND': return new MalformedCommandError(refusal.message)
  }
}
