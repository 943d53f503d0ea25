/**
 * What the gateway, the plugin and the command line share with Raft beyond its public face. No part of the package's
 * promise: it may change with any release.
 * @module
 */
export { defaults } from './defaults.ts'
export { errorHeaders, errorText, otherClusterError } from './runtime/refusal.ts'
export type { ErrorBody, Refusal } from './runtime/refusal.ts'
export { percentOf } from './driver/state-restore.ts'
export { systemClock } from './runtime/clock.ts'
export { notStartedError } from './runtime/not-started.ts'
export { settlesWithin, systemTimers } from './runtime/timers.ts'
export type { Timers } from './runtime/timers.ts'
export { Waiter } from './runtime/waiter.ts'
export { defaultSnapshotPolicy } from './snapshots/policy.ts'
export { parseArray } from './state/json-record.ts'
export { checkVersion, decodeSections, encodeSections } from './state/sections.ts'
export type { SectionToRead, SectionToWrite } from './state/sections.ts'
export { sessionLimits } from './state/session-table.ts'
export { isEmptyDirectory } from './storage/data-directory.ts'
export { NotSentError, RequestStart } from './transport/not-sent.ts'
export { OpenRequests } from './transport/open-requests.ts'
export { cameThroughProxy } from './transport/proxy-fields.ts'
export { filterRequests, peerRequestFilter } from './transport/request-filter.ts'
export { NoAnswerInTimeError, SmallRequest } from './transport/small-request.ts'
export { connectOptions } from './transport/tls.ts'
export { isSameMac, macOf } from './trust/seal.ts'
export { readSecretFile, SecretFile } from './trust/secret-file.ts'
