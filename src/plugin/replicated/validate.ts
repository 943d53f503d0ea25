import { maxNumber } from '../../raft/internal.ts'
import { limits } from './limits.ts'

/** Anything that is there: a member of a JSON object cannot be undefined, so this accepts every JSON value. */
export function isPresent (value: unknown): boolean {
  return value !== undefined
}

function isText (value: unknown, maxLength: number): boolean {
  return typeof value === 'string' && value.length > 0 && value.length <= maxLength
}

/** A map name: 1 to 200 characters. */
export function isMapName (value: unknown): boolean {
  return isText(value, limits.maxMapNameLength)
}

/** The name of a state machine: 1 to 100 characters. */
export function isMachineName (value: unknown): boolean {
  return isText(value, limits.maxMachineNameLength)
}

/** A lock name: 1 to 200 characters. */
export function isLockName (value: unknown): boolean {
  return isText(value, limits.maxLockNameLength)
}

/** The topic of a broadcast: 1 to 200 characters. */
export function isTopic (value: unknown): boolean {
  return isText(value, limits.maxTopicLength)
}

/** A lock owner: 1 to 200 characters. */
export function isOwner (value: unknown): boolean {
  return isText(value, limits.maxOwnerLength)
}

/** The name of a task: 1 to 200 characters. */
export function isTaskName (value: unknown): boolean {
  return isText(value, limits.maxTaskNameLength)
}

/** The number of a worker of a task, from 0. */
export function isWorker (value: unknown): boolean {
  return isIndex(value) && (value as number) < limits.maxWorkers
}

/** How many workers a task has. */
export function isWorkerCount (value: unknown): boolean {
  return isToken(value) && (value as number) <= limits.maxWorkers
}

/** The version of work that is done once: 1 to 100 characters. */
export function isOnceVersion (value: unknown): boolean {
  return isText(value, limits.maxOnceVersionLength)
}

/** What work that is done once returned, as JSON text, or why it failed. */
export function isOnceText (value: unknown): boolean {
  return typeof value === 'string' && value.length <= limits.maxOnceResultBytes
}

/** The id of a node as a command names it: 1 to 200 characters. Which ids members may have, the options say. */
export function isNodeName (value: unknown): boolean {
  return isText(value, limits.maxOwnerLength)
}

/** The id of one attempt to take a lock, or of one run of a task: 1 to 200 characters. */
export function isRequestId (value: unknown): boolean {
  return isText(value, limits.maxRequestIdLength)
}

/** An idempotency key: 1 to 200 characters. */
export function isIdempotencyKey (value: unknown): boolean {
  return isText(value, limits.maxIdempotencyKeyLength)
}

/** A hash of what a request asks for: 1 to 64 characters. */
export function isFingerprint (value: unknown): boolean {
  return isText(value, limits.maxFingerprintLength)
}

/** True or false. */
export function isFlag (value: unknown): boolean {
  return typeof value === 'boolean'
}

/** Who chose an idempotency key. */
export function isKeyOrigin (value: unknown): boolean {
  return value === 'http' || value === 'api'
}

/** How long an idempotency key is remembered, in milliseconds of log time. */
export function isHorizon (value: unknown): boolean {
  return isIndex(value) && (value as number) >= limits.minHorizonMs && (value as number) <= limits.maxHorizonMs
}

/** A key of a map: a string of at least one character; its size has a check of its own. */
export function isKey (value: unknown): boolean {
  return typeof value === 'string' && value.length > 0
}

/** A revision or a count: a non-negative safe integer. */
export function isIndex (value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** An index or a time of the log, or 0: no message between nodes carries a larger number. */
export function isLogNumber (value: unknown): boolean {
  return isIndex(value) && (value as number) <= maxNumber
}

/** A fencing token: a positive safe integer. */
export function isToken (value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) > 0
}

/** A time to live of a lock in milliseconds. */
export function isTtl (value: unknown): boolean {
  return (
    Number.isSafeInteger(value) && (value as number) >= limits.minLockTtlMs && (value as number) <= limits.maxLockTtlMs
  )
}

/** A time to live of a key in milliseconds. */
export function isKeyTtl (value: unknown): boolean {
  return isIndex(value) && (value as number) >= limits.minKeyTtlMs && (value as number) <= limits.maxKeyTtlMs
}

/** What kind of number is added to. */
export function isTallyKind (value: unknown): boolean {
  return value === 'counter' || value === 'latch' || value === 'barrier'
}

/** What may be added to a number: a whole number. */
export function isDelta (value: unknown): boolean {
  return Number.isSafeInteger(value)
}

/** In which time a rate limiter fills up, in milliseconds of log time. */
export function isFillMs (value: unknown): boolean {
  return isToken(value) && (value as number) <= limits.maxFillMs
}

/** What kind of lock is taken. */
export function isPool (value: unknown): boolean {
  return value === 'lock' || value === 'read-write' || value === 'semaphore'
}

/** A number of permits, or of readers. */
export function isPermits (value: unknown): boolean {
  return isToken(value) && (value as number) <= limits.maxPermits
}

/** How long a session that owns things lives after a beat, in milliseconds. */
export function isSessionTtl (value: unknown): boolean {
  return isIndex(value) && (value as number) >= limits.minSessionTtlMs && (value as number) <= limits.maxSessionTtlMs
}

/** Beats of sessions that own things: pairs of a session and the number of its beat, at most one for each. */
export function isBeats (value: unknown): boolean {
  return Array.isArray(value) && value.length <= limits.maxOwnerSessions && value.every((beat: unknown) =>
    Array.isArray(beat) && beat.length === 2 && isToken(beat[0]) && isIndex(beat[1]))
}

/** Size of a text in bytes of UTF-8. */
export function byteLength (text: string): number {
  return Buffer.byteLength(text, 'utf8')
}

/** Whether a JSON value nests at most `depth` levels of arrays and objects. Visits no deeper than that. */
export function nestsWithin (value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  const children: unknown[] = Array.isArray(value) ? value : Object.values(value)
  return children.every((child) => nestsWithin(child, depth - 1))
}
