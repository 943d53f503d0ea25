import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import type { Engine } from '../../raft/index.ts'
import { UnauthorizedError } from '../../raft/index.ts'
import { cameThroughProxy, otherClusterError } from '../../raft/internal.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { isLoopbackAddress } from '../options/loopback.ts'
import { meantClusterOf } from '../routes/hop-guard.ts'
import { provenCallerOf } from '../routes/proven-caller.ts'

/**
 * Whether the client is on this machine. Judged by the socket and not by `request.ip`, which follows a header under
 * `trustProxy`; and a request that says it was passed on is never local.
 */
function isLocal (request: FastifyRequest): boolean {
  return isLoopbackAddress(request.raw.socket.remoteAddress) && !cameThroughProxy(request.raw.rawHeaders)
}

function asksWhoLeads ({ method, routeOptions: { url } }: FastifyRequest): boolean {
  return (method === 'GET' || method === 'HEAD') && url?.endsWith('/leader') === true
}

/**
 * Refuses clients beyond this machine, unless they have proven to be a member. `insecure: true` lets them in. A gateway
 * that has proven to be one may ask who leads.
 */
export function localOnly (insecure: boolean): onRequestHookHandler {
  return (request, _reply, done) => {
    const caller = provenCallerOf(request.raw)
    if (caller?.kind === 'gateway') {
      done(asksWhoLeads(request) ? undefined : new UnauthorizedError('A gateway may ask who leads, and nothing else'))
    } else if (caller !== null || insecure || isLocal(request)) done()
    else {
      done(new UnauthorizedError('This route answers clients on the same machine only, unless insecure: true is set'))
    }
  }
}

/**
 * Refuses what a web page sends: a page from anywhere can make the browser on this machine send a request that needs no
 * body of a special kind, and browsers say so in Origin.
 */
export const refuseBrowsers: onRequestHookHandler = (request, _reply, done) => {
  if (request.headers.origin === undefined) done()
  else done(new UnauthorizedError('This route does not answer web pages'))
}

/** Refuses calls that nodes of another cluster with the same name make: they mean that one, and name its UUID. */
export function ownClusterOnly (
  cluster: Pick<Cluster, 'clusterId' | 'nodeId'>,
  engine: Pick<Engine, 'clusterUuid'>
): onRequestHookHandler {
  return (request, _reply, done) => {
    const own = engine.clusterUuid()
    const meant = meantClusterOf(request.raw)
    if (own === undefined || meant === undefined || meant === own) done()
    else done(otherClusterError(cluster.clusterId, ['the sender', meant], [`"${cluster.nodeId}"`, own]))
  }
}
