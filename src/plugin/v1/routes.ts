import type { FastifyInstance, FastifyPluginCallback } from 'fastify'
import { localOnly, ownClusterOnly, refuseBrowsers } from './access.ts'
import { clientLimits } from './client-requests.ts'
import { healthRoutes } from './health-routes.ts'
import { leaderAdminRoutes } from './leader-routes.ts'
import { mapRoutes } from './map-routes.ts'
import { memberAdminRoutes, membersRoutes } from './member-routes.ts'
import type { V1Options } from './options.ts'
import { isolateScope } from './scope.ts'
import { snapshotRoutes } from './snapshot-routes.ts'
import { statusRoutes } from './status-routes.ts'

/** Routes by who may call them. */
interface RouteGroups {
  /** Anybody. */
  readonly open: readonly FastifyPluginCallback<V1Options>[]
  /** Clients on this machine, unless told otherwise. */
  readonly guarded: readonly FastifyPluginCallback<V1Options>[]
  /** The same, but no web page. */
  readonly admin: readonly FastifyPluginCallback<V1Options>[]
}

/** All routes under `/_cluster/v1`. */
export const v1Routes = createRoutes({
  open: [healthRoutes],
  guarded: [statusRoutes, mapRoutes, membersRoutes],
  admin: [memberAdminRoutes, leaderAdminRoutes, snapshotRoutes]
})

/** Those of them that nodes, gateways and orchestrators call by themselves. */
export const nodeRoutes = createRoutes({
  open: [healthRoutes],
  guarded: [statusRoutes, membersRoutes],
  admin: [memberAdminRoutes]
})

function createRoutes ({ open, guarded, admin }: RouteGroups): FastifyPluginCallback<V1Options> {
  return (
    scope,
    { cluster, kv, catchUp, clients, isJoining, guards, path, insecure, openApi, logger },
    done
  ) => {
    // Not the options as they came: they hold the prefix of this scope, and it would be applied once more.
    const options: V1Options = { cluster, kv, catchUp, clients, isJoining, guards, path, insecure, openApi, logger }
    const registerAll = (into: FastifyInstance, routes: readonly FastifyPluginCallback<V1Options>[]): void => {
      for (const plugin of routes) into.register(plugin, options)
    }
    isolateScope(scope, options)
    if (!openApi) {
      scope.addHook('onRoute', (route) => { route.schema = Object.assign({}, route.schema, { hide: true }) })
    }
    registerAll(scope, open)
    scope.register((local, _options, localDone) => {
      local.addHook('onRequest', localOnly(insecure))
      // Behind that: who is refused takes nothing that the others need. Probes have a place in any case.
      local.addHook('onRequest', clients.shared)
      registerAll(local, guarded)
      local.register((changes, _none, changesDone) => {
        changes.addHook('onRoute', (route) => { route.bodyLimit = clientLimits.maxAdminBodyBytes })
        changes.addHook('onRequest', refuseBrowsers)
        changes.addHook('onRequest', ownClusterOnly(cluster, guards.engine))
        // A body that says nothing may be left out.
        changes.addHook('preValidation', (request, _reply, next) => {
          request.body ??= {}
          next()
        })
        registerAll(changes, admin)
        changesDone()
      })
      localDone()
    })
    done()
  }
}
