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
import type { PlaceCommand } from '../replicated/place-command.ts'
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
  return await ask<MapAnswer>(context, encodeCommand(command), options)
}

/** Proposes a command on a lock; otherwise as {@link proposeToMap}. */
export async function proposeToLock (
  context: PrimitiveContext,
  command: LockCommand,
  options: WaitOptions
): Promise<Exclude<LockAnswer, RefusedAnswer>> {
  return await ask<LockAnswer>(context, encodeCommand(command), options)
}

/** Proposes a command on sessions that own things; otherwise as {@link proposeToMap}. */
export async function proposeToSession (
  context: PrimitiveContext,
  command: OwnerSessionCommand,
  options: WaitOptions = {}
): Promise<Exclude<OwnerSessionAnswer, RefusedAnswer>> {
  return await ask<OwnerSessionAnswer>(context, encodeCommand(command), options)
}

/** Proposes a command on numbers and buckets; otherwise as {@link proposeToMap}. */
export async function proposeToTally (
  context: PrimitiveContext,
  command: TallyCommand,
  options: WaitOptions
): Promise<Exclude<TallyAnswer, RefusedAnswer>> {
  return await ask<TallyAnswer>(context, encodeCommand(command), options)
}

/** Proposes a command on the key of a request; otherwise as {@link proposeToMap}. */
export async function proposeToRequest (
  context: PrimitiveContext,
  command: RequestCommand,
  options: WaitOptions = {}
): Promise<Exclude<RequestAnswer, RefusedAnswer>> {
  return await ask<RequestAnswer>(context, encodeCommand(command), options)
}

/** Proposes a command on a task or its places; otherwise as {@link proposeToMap}. */
export async function proposeToTask (
  context: PrimitiveContext,
  command: TaskCommand | PlaceCommand,
  options: WaitOptions = {}
): Promise<Exclude<TaskAnswer, RefusedAnswer>> {
  return await ask<TaskAnswer>(context, encodeCommand(command), options)
}

/** Proposes a message for all nodes; otherwise as {@link proposeToMap}. */
export async function proposeBroadcast (
  context: PrimitiveContext,
  command: BroadcastCommand,
  options: WaitOptions
): Promise<PublishedAnswer> {
  return await ask<PublishedAnswer | RefusedAnswer>(context, encodeCommand(command), options)
}

/** Proposes a command on a schedule; otherwise as {@link proposeToMap}. */
export async function proposeToSchedule (
  context: PrimitiveContext,
  command: ScheduleCommand,
  options: WaitOptions = {}
): Promise<Exclude<ScheduleAnswer, RefusedAnswer>> {
  return await ask<ScheduleAnswer>(context, encodeCommand(command), options)
}

/** Proposes a command on work that is done once; otherwise as {@link proposeToMap}. */
export async function proposeToOnce (
  context: PrimitiveContext,
  command: OnceCommand,
  options: WaitOptions = {}
): Promise<Exclude<OnceAnswer, RefusedAnswer>> {
  return await ask<OnceAnswer>(context, encodeCommand(command), options)
}

/** Proposes an encoded command on a state machine of the application; otherwise as {@link proposeToMap}. */
export async function proposeToMachine (
  context: PrimitiveContext,
  command: Uint8Array,
  options: WaitOptions
): Promise<Exclude<MachineAnswer, RefusedAnswer>> {
  return await ask<MachineAnswer>(context, command, options)
}

/** The kind of a command decides the kinds of its answers; the functions above say which. */
async function ask<A extends Answer> (
  context: PrimitiveContext,
  command: Uint8Array,
  options: WaitOptions
): Promise<Exclude<A, RefusedAnswer>> {
  const answer = (await context.engine.propose(command, waitOptions(context, options))) as A
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
