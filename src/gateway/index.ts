/**
 * A stand-alone gateway: a reverse proxy in front of a cluster that finds the leader.
 *
 * ```ts
 * import { createGateway } from 'fastify-raft/gateway'
 *
 * const gateway = createGateway({ nodes: ['http://127.0.0.1:4001', 'http://127.0.0.1:4002', 'http://127.0.0.1:4003'] })
 * const { url } = await gateway.listen({ port: 8080 })
 * ```
 * @module
 */
export { createGateway } from './standalone/gateway.ts'
export type { Gateway, GatewayAddress, GatewayListening } from './standalone/gateway.ts'
export type { GatewayOptions } from './standalone/gateway-options.ts'
export type { GatewayStatus } from './standalone/gateway-status.ts'
export type { TrackedNode } from './standalone/leader-tracker.ts'
export type { ServerCertificateOptions, TlsOptions } from './options/tls.ts'
export type { LeaderInfo } from '../raft/index.ts'
