/**
 * The parts of forwarding that the plugin shares: the hop and its rules, the forwarder, and calls of admin routes. Not
 * published.
 * @module
 */
export { AdminCallError, AdminClient, UnprovenAnswerError } from './forward/admin-client.ts'
export type { AdminAnswer, AdminCall } from './forward/admin-client.ts'
export { bodyFields, endResponse, hasArrived } from './forward/answer.ts'
export { Forwarder } from './forward/forwarder.ts'
export {
  attemptHeader,
  checkHop,
  clockHeader,
  clusterHeader,
  endOfHop,
  formatNotExecuted,
  hopHeader,
  isForeign,
  isRefusalStatus,
  notExecutedHeader,
  parseAttempt,
  parseHop,
  readTokenHeader,
  withRefusalProof,
  parseRequestId,
  requestIdHeader
} from './forward/hop.ts'
export type { Attempt, Hop } from './forward/hop.ts'
export { hasClosed, http2StreamOf } from './forward/http2-stream.ts'
export { isSafeMethod } from './forward/judgement.ts'
export { refusals } from './forward/refusals.ts'
export { endAfterAnswer } from './forward/tunnel.ts'
export { RequestBody } from './forward/request-body.ts'
export { splitTarget } from './forward/request-target.ts'
export { isReservedTarget } from './forward/reserved-target.ts'
export { readNodeUrl } from './options/node-url.ts'
export { adminHeadersSchema, checkAdminHeaders } from './options/admin-headers.ts'
export type { AdminHeaders } from './options/admin-headers.ts'
export { count, durationMs, informational, nodeUrl, pathPrefix, tlsProperties } from './options/option-schemas.ts'
export { openSecrets, readSecretOptions, secretSchemas } from './options/secret-options.ts'
export type { OpenSecrets, ResolvedSecret } from './options/secret-options.ts'
export { Type } from './options/schema.ts'
export { fits, schemaFaults, withNumbers } from './options/schema-check.ts'
export { readBySchema } from './options/schema-reader.ts'
export type { Fault } from './options/schema-reader.ts'
export { readTls } from './options/tls.ts'
export type { ResolvedTls } from './options/tls.ts'
export type { ForwardPolicy, ForwardRequest, LeaderSource, OwnHeaders, Target } from './forward/types.ts'
