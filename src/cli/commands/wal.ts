import type { InspectedSnapshot, LogInspection } from '../../raft/index.ts'
import { inspectLog } from '../../raft/index.ts'
import type { WalSettings } from '../flags/wal.ts'
import type { Print } from '../terminal/messages.ts'

/** The log or a snapshot is damaged. */
const damagedExitCode = 1
/** There is no log, or it must not be read now. */
const unreadableExitCode = 3

/** Reads a data directory and prints what it contains. Writes nothing. Resolves with the exit code. */
export async function runWal (
  { action, directory, json }: WalSettings,
  print: Print,
  printError: Print
): Promise<number> {
  let found: LogInspection
  try {
    found = await inspectLog(directory)
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error
    if (json) print(JSON.stringify({ directory, error: { code: error.code, message: error.message } }))
    else printError(`fastify-raft: ${error.message} (${String(error.code)})`)
    return unreadableExitCode
  }
  const faults = [found.fault, ...found.snapshots.map(({ fault }) => fault)].filter((fault) => fault !== null)
  if (json) print(JSON.stringify({ ...found, sound: faults.length === 0 }))
  else for (const line of action === 'inspect' ? describe(found) : verdict(found)) print(line)
  if (!json) for (const { code, message } of faults) printError(`fastify-raft: ${message} (${code})`)
  return faults.length === 0 ? 0 : damagedExitCode
}

function count (number: number, one: string): string {
  return `${number} ${one}${number === 1 ? '' : 's'}`
}

/** The whole inspection, one line for each fact. */
export function describe (found: LogInspection): string[] {
  const { identity, segments, log, savedAside, snapshots } = found
  const lines = [`node ${identity.nodeId} of cluster ${identity.clusterId}, in ${found.directory}`]
  if (log !== null) {
    lines.push(
      `entries ${log.base.index + 1} to ${log.lastIndex}, committed through ${log.commitIndex}, the last of term ` +
        `${log.lastTerm}`,
      `${count(log.commands, 'command')}, ${count(log.configurations, 'configuration')}`,
      `term ${log.term}, ${log.vote === null ? 'no vote' : `voted for ${log.vote}`}`,
      `incarnation ${log.incarnation}`
    )
    if (log.tornBytes > 0) lines.push(torn(log.tornBytes))
  }
  for (const { name, bytes, firstIndex, startsAnew } of segments) {
    lines.push(
      `segment ${name}: ${count(bytes, 'byte')}, from entry ${firstIndex}${startsAnew ? ', where the log starts' : ''}`
    )
  }
  for (const snapshot of snapshots) lines.push(describeSnapshot(snapshot))
  for (const name of savedAside) lines.push(`saved aside by an earlier start: ${name}`)
  return lines
}

function describeSnapshot ({ name, index, term, bytes, clusterId, fault }: InspectedSnapshot): string {
  if (index === null || term === null || bytes === null) return `snapshot ${name}: not readable`
  return `snapshot ${name}: through entry ${index} of term ${term}, ${count(bytes, 'byte')}, of cluster ` +
    `${String(clusterId)}${fault === null ? '' : ', damaged'}`
}

function torn (bytes: number): string {
  return `${count(bytes, 'byte')} of a write that a crash interrupted stand at the end: never acknowledged, and cut ` +
    'at the next start'
}

/** The result alone. */
function verdict ({ log, fault, snapshots }: LogInspection): string[] {
  const sound = snapshots.filter((snapshot) => snapshot.fault === null).length
  const ofSnapshots = snapshots.length === 0 ? [] : [`snapshots: ${sound} of ${snapshots.length} sound`]
  if (log === null || fault !== null) return ['the log is damaged', ...ofSnapshots]
  return [
    `the log is sound: entries ${log.base.index + 1} to ${log.lastIndex}`,
    ...(log.tornBytes > 0 ? [torn(log.tornBytes)] : []),
    ...ofSnapshots
  ]
}
