import type { ScheduleRunRecord, ScheduleStatus } from '../../plugin/index.ts'
import type { LockView, OnceView, SessionView, TaskView } from '../../plugin/internal.ts'
import type { AdminTarget } from '../flags/admin.ts'
import type {
  CoordinationCommand,
  LocksSettings,
  SchedulesSettings,
  SessionsSettings,
  TasksSettings
} from '../flags/coordination.ts'
import type { Print } from '../terminal/messages.ts'
import { adminRequest } from './admin.ts'

interface ScheduleList {
  readonly schedules: readonly ScheduleStatus[]
}

interface RunList {
  readonly runs: readonly ScheduleRunRecord[]
}

interface SlotList {
  readonly slots: readonly string[]
}

/** Lists or changes what the copies of a running cluster coordinate by. Rejects with a `PlainError`. */
export async function runCoordination (command: CoordinationCommand, print: Print): Promise<void> {
  switch (command.kind) {
    case 'locks': await runLocks(command.settings, print); break
    case 'sessions': await runSessions(command.settings, print); break
    case 'schedules': await runSchedules(command.settings, print); break
    case 'tasks': await runTasks(command.settings, print); break
  }
}

/** Lists, shows or releases locks. */
async function runLocks ({ action, ...target }: LocksSettings, print: Print): Promise<void> {
  switch (action.kind) {
    case 'list': {
      const query = action.prefix === null ? {} : { prefix: action.prefix }
      printLocks(await everyPage<LockView>(target, 'locks', query), print)
      return
    }
    case 'show':
      printLocks([await adminRequest<LockView>(target, 'GET', pathOf('locks', action.name))], print)
      return
    case 'release':
      await adminRequest(target, 'POST', `${pathOf('locks', action.name)}/release`, { token: action.token })
      print(`${action.name} with token ${action.token} is released`)
  }
}

/** Lists or ends sessions. */
async function runSessions ({ action, ...target }: SessionsSettings, print: Print): Promise<void> {
  if (action.kind === 'end') {
    await adminRequest(target, 'DELETE', pathOf('sessions', action.session))
    print(`session ${action.session} has ended`)
    return
  }
  const sessions = await everyPage<SessionView>(target, 'sessions', {})
  printTable('no sessions', sessions.map(({ session, owner, ttlMs, isOfProcess }) =>
    [session, owner, `${ttlMs} ms`, isOfProcess ? 'of a copy' : 'of a client']), print)
}

/** Lists, shows or changes schedules. */
async function runSchedules ({ action, ...target }: SchedulesSettings, print: Print): Promise<void> {
  if (action.kind === 'list') {
    const { schedules } = await adminRequest<ScheduleList>(target, 'GET', 'schedules')
    printTable('no schedules', schedules.map(rowOf), print)
    return
  }
  const path = pathOf('schedules', action.name)
  switch (action.kind) {
    case 'show':
      printSchedule(await adminRequest(target, 'GET', path), print)
      return
    case 'history':
      printRuns((await adminRequest<RunList>(target, 'GET', `${path}/history`)).runs, print)
      return
    case 'preview': {
      const query = action.count === null ? '' : `?count=${encodeURIComponent(action.count)}`
      const { slots } = await adminRequest<SlotList>(target, 'GET', `${path}/preview${query}`)
      for (const slot of slots) print(slot)
      return
    }
    case 'run':
      await adminRequest(target, 'POST', `${path}/run`, {})
      print(`${action.name} runs now`)
      return
    case 'pause':
    case 'resume': {
      const body = action.kind === 'pause' && action.reason !== null ? { reason: action.reason } : {}
      printSchedule(await adminRequest(target, 'POST', `${path}/${action.kind}`, body), print)
      return
    }
    case 'backfill': {
      const { from, to } = action
      const { slots } = await adminRequest<{ readonly slots: number }>(target, 'POST', `${path}/backfill`, { from, to })
      print(`${action.name} runs for ${slots} slots`)
      return
    }
    case 'remove':
      await adminRequest(target, 'DELETE', path)
      print(`${action.name} is removed`)
  }
}

/** Lists tasks, or work that is done once. */
async function runTasks ({ action, ...target }: TasksSettings, print: Print): Promise<void> {
  if (action.kind === 'once') {
    const works = await everyPage<OnceView>(target, 'once', {})
    printTable('no work', works.map(({ name, version, state, node, attempt, since }) =>
      [name, `version ${version}`, state, `on ${node}`, `attempt ${attempt}`, `since ${since}`]), print)
    return
  }
  const tasks = await everyPage<TaskView>(target, 'tasks', {})
  printTable('no tasks', tasks.map(({ name, kind, worker, placement, state, node, since, token }) => [
    kind === 'worker' ? `${name} ${worker}` : name,
    placement,
    state,
    `on ${node}`,
    since === null ? '' : `since ${since}`,
    token === null ? '' : `token ${token}`
  ]), print)
}

/** All pages of a list; the route and its list have one name. */
async function everyPage<T> (
  target: AdminTarget,
  list: 'locks' | 'sessions' | 'tasks' | 'once',
  query: Readonly<Record<string, string>>
): Promise<readonly T[]> {
  const found: T[] = []
  let after: string | null = null
  do {
    const asked: string = new URLSearchParams(after === null ? query : { ...query, after }).toString()
    const page: { readonly next: string | null } & Readonly<Partial<Record<typeof list, readonly T[]>>> =
      await adminRequest(target, 'GET', asked === '' ? list : `${list}?${asked}`)
    found.push(...(page[list] ?? []))
    after = page.next
  } while (after !== null)
  return found
}

function pathOf (room: string, name: string): string {
  return `${room}/${encodeURIComponent(name)}`
}

function printLocks (locks: readonly LockView[], print: Print): void {
  printTable('no locks', locks.map(({ name, owner, token, ttlMs, session, waiting }) => [
    name,
    `held by ${owner}`,
    `token ${token}`,
    session === null ? `for ${ttlMs} ms` : `by session ${session}`,
    waiting === 0 ? '' : `${waiting} waiting`
  ]), print)
}

function rowOf ({ name, cron, timeZone, nextAt, paused, running }: ScheduleStatus): readonly string[] {
  const next = `next ${nextAt ?? 'never'}`
  const pause = paused === null ? null : `paused${paused.reason === '' ? '' : `: ${paused.reason}`}`
  return [name, cron, timeZone, pause ?? next, running.length === 0 ? '' : `${running.length} running`]
}

function printSchedule (status: ScheduleStatus, print: Print): void {
  printTable('', [rowOf(status)], print)
  const { lastSlot, queued, missedSlots, skippedSlots, delivery, overlap, missed } = status
  print(`delivery ${delivery}, overlap ${overlap}, missed ${missed}`)
  print(`last slot ${lastSlot ?? 'none'}, ${queued} waiting, ${missedSlots} missed, ${skippedSlots} skipped`)
}

function printRuns (runs: readonly ScheduleRunRecord[], print: Print): void {
  printTable('no runs yet', runs.map(({ scheduledFor, attempt, node, outcome, endedAt, error }) =>
    [scheduledFor, `attempt ${attempt}`, node, outcome, endedAt, error ?? '']), print)
}

/** Rows side by side, each column as wide as its widest cell; `none` if there are no rows. */
function printTable (none: string, rows: readonly (readonly string[])[], print: Print): void {
  if (rows.length === 0) print(none)
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows) print(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd())
}
