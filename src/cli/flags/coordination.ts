import { type AdminTarget, readTarget, targetFlags } from './admin.ts'
import type { CommandDefinition } from './definition.ts'
import { type FlagValues, UsageError } from './flag-values.ts'

/** The action of `fastify-raft locks`, and the node to ask. */
export interface LocksSettings extends AdminTarget {
  readonly action:
    | { readonly kind: 'list', readonly prefix: string | null }
    | { readonly kind: 'show', readonly name: string }
    | { readonly kind: 'release', readonly name: string, readonly token: string }
}

/** The action of `fastify-raft sessions`, and the node to ask. */
export interface SessionsSettings extends AdminTarget {
  readonly action: { readonly kind: 'list' } | { readonly kind: 'end', readonly session: string }
}

/** The action of `fastify-raft schedules`, and the node to ask. */
export interface SchedulesSettings extends AdminTarget {
  readonly action:
    | { readonly kind: 'list' }
    | { readonly kind: 'show' | 'history' | 'run' | 'resume' | 'remove', readonly name: string }
    | { readonly kind: 'preview', readonly name: string, readonly count: string | null }
    | { readonly kind: 'pause', readonly name: string, readonly reason: string | null }
    | { readonly kind: 'backfill', readonly name: string, readonly from: string, readonly to: string }
}

/** What `fastify-raft tasks` lists, and the node to ask. */
export interface TasksSettings extends AdminTarget {
  readonly action: { readonly kind: 'list' | 'once' }
}

/** A command line that asks for `fastify-raft locks`. */
interface LocksCommand {
  readonly kind: 'locks'
  readonly settings: LocksSettings
}

/** A command line that asks for `fastify-raft sessions`. */
interface SessionsCommand {
  readonly kind: 'sessions'
  readonly settings: SessionsSettings
}

/** A command line that asks for `fastify-raft schedules`. */
interface SchedulesCommand {
  readonly kind: 'schedules'
  readonly settings: SchedulesSettings
}

/** A command line that asks for `fastify-raft tasks`. */
interface TasksCommand {
  readonly kind: 'tasks'
  readonly settings: TasksSettings
}

/** A command line that asks for one of them. */
export type CoordinationCommand = LocksCommand | SessionsCommand | SchedulesCommand | TasksCommand

export const locksCommand: CommandDefinition<LocksCommand> = {
  name: 'locks',
  summary: 'list, show or release locks of a running cluster',
  usage: '[list | show | release] --node <url> [options]',
  about: [
    'Lists the locks that are held, with their holders, or shows or releases one; any node may be asked. Who holds ' +
      'a lock that is released here is told that it has lost it, and a later holder of the same lock is left alone.'
  ],
  words: 1,
  flags: {
    ...targetFlags.node,
    name: { value: '<name>', text: 'show, release: the lock' },
    token: { value: '<token>', text: 'release: the token of the grant that is to end' },
    prefix: { value: '<prefix>', text: 'list: only locks whose names begin so' },
    ...targetFlags.access
  },
  read: (values, [action]) => ({ kind: 'locks', settings: locksSettings(values, action) })
}

export const sessionsCommand: CommandDefinition<SessionsCommand> = {
  name: 'sessions',
  summary: 'list or end sessions of a running cluster',
  usage: '[list | end] --node <url> [options]',
  about: [
    'Lists the sessions that own things in a running cluster, or ends one with all that it owns; any node may be ' +
      'asked. A copy whose session ends here opens another one, which owns nothing yet.'
  ],
  words: 1,
  flags: {
    ...targetFlags.node,
    session: { value: '<session>', text: 'end: the session' },
    ...targetFlags.access
  },
  read: (values, [action]) => ({ kind: 'sessions', settings: sessionsSettings(values, action) })
}

export const schedulesCommand: CommandDefinition<SchedulesCommand> = {
  name: 'schedules',
  summary: 'list, show, run, pause, resume, backfill or remove schedules of a running cluster',
  usage: '[<action>] --node <url> [options]',
  about: [
    'Lists the schedules of a running cluster, shows one, its last runs or its next slots, or has it run, pause or ' +
      'go on; any node may be asked. One that is removed loses its history, and comes back as a new one where the ' +
      'copy that leads registers it.'
  ],
  sections: { Actions: ['list, show, history, preview, run, pause, resume, backfill, remove'] },
  words: 1,
  flags: {
    ...targetFlags.node,
    name: { value: '<name>', text: 'the schedule, for all actions but list' },
    count: { value: '<n>', text: 'preview: how many slots' },
    reason: { value: '<text>', text: 'pause: why, for people to read' },
    from: { value: '<time>', text: 'backfill: the first instant that counts, as 2027-03-14T00:00:00Z' },
    to: { value: '<time>', text: 'backfill: the first instant that counts no more' },
    ...targetFlags.access
  },
  read: (values, [action]) => ({ kind: 'schedules', settings: schedulesSettings(values, action) })
}

export const tasksCommand: CommandDefinition<TasksCommand> = {
  name: 'tasks',
  summary: 'list the tasks of a running cluster, or the work that is done once',
  usage: '[list | once] --node <url> [options]',
  about: [
    'Lists the singletons and workers of a running cluster with the node that each is on, or the work that is done ' +
      'once; any node may be asked.'
  ],
  words: 1,
  flags: { ...targetFlags.node, ...targetFlags.access },
  read: (values, [action]) => ({ kind: 'tasks', settings: tasksSettings(values, action) })
}

function tasksSettings (values: FlagValues, action = 'list'): TasksSettings {
  if (action !== 'list' && action !== 'once') throw new UsageError(`Unknown action "${action}": list or once`, 'tasks')
  return { ...readTarget(values), action: { kind: action } }
}

function locksSettings (values: FlagValues, action = 'list'): LocksSettings {
  const target = readTarget(values)
  switch (action) {
    case 'list':
      values.refuse(action, ['name', 'token'])
      return { ...target, action: { kind: action, prefix: values.text('prefix') } }
    case 'show':
      values.refuse(action, ['token', 'prefix'])
      return { ...target, action: { kind: action, name: values.requiredText('name') } }
    case 'release': {
      values.refuse(action, ['prefix'])
      const name = values.requiredText('name')
      return { ...target, action: { kind: action, name, token: values.requiredText('token') } }
    }
    default: throw new UsageError(`Unknown action "${action}": list, show or release`, 'locks')
  }
}

function sessionsSettings (values: FlagValues, action = 'list'): SessionsSettings {
  const target = readTarget(values)
  switch (action) {
    case 'list':
      values.refuse(action, ['session'])
      return { ...target, action: { kind: action } }
    case 'end': return { ...target, action: { kind: action, session: values.requiredText('session') } }
    default: throw new UsageError(`Unknown action "${action}": list or end`, 'sessions')
  }
}

/** Flags of single actions of schedules; the others refuse them. */
const ownFlags: Readonly<Record<string, readonly string[]>> = {
  preview: ['count'],
  pause: ['reason'],
  backfill: ['from', 'to']
}

function schedulesSettings (values: FlagValues, action = 'list'): SchedulesSettings {
  const target = readTarget(values)
  const others = Object.entries(ownFlags).filter(([owner]) => owner !== action).flatMap(([, flags]) => flags)
  values.refuse(action, action === 'list' ? ['name', ...others] : others)
  if (action === 'list') return { ...target, action: { kind: action } }
  return { ...target, action: scheduleAction(values, action) }
}

function scheduleAction (values: FlagValues, action: string): SchedulesSettings['action'] {
  switch (action) {
    case 'show':
    case 'history':
    case 'run':
    case 'resume':
    case 'remove': return { kind: action, name: values.requiredText('name') }
    case 'preview': return { kind: action, name: values.requiredText('name'), count: values.text('count') }
    case 'pause': return { kind: action, name: values.requiredText('name'), reason: values.text('reason') }
    case 'backfill': {
      const name = values.requiredText('name')
      return { kind: action, name, from: values.requiredText('from'), to: values.requiredText('to') }
    }
    default: throw new UsageError(
      `Unknown action "${action}": list, show, history, preview, run, pause, resume, backfill or remove`,
      'schedules'
    )
  }
}
