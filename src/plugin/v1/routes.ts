import type { FastifyPluginCallback } from 'fastify'
import { localOnly, refuseBrowsers } from './access.ts'
import { healthRoutes } from './health-routes.ts'
import { leaderAdminRoutes } from './leader-routes.ts'
import { mapRoutes } from './map-routes.ts'
import { memberAdminRoutes, membersRoutes } from './member-routes.ts'
import type { V1Options } from './options.ts'
import { isolateScope } from './scope.ts'
import { snapshotRoutes } from './snapshot-routes.ts'
import { statusRoutes } from './status-routes.ts'

/** All routes under `/_cluster/v1`. */
export const v1Routes: FastifyPluginCallback<V1Options> = (
  scope,
  { cluster, catchUp, isJoining, guards, path, insecure, openApi },
  done
) => {
  // Not the options as they came: they hold the prefix of this scope, and it would be applied once more.
  const options: V1Options = { cluster, catchUp, isJoining, guards, path, insecure, openApi }
  isolateScope(scope, guards)
  if (!openApi) {
    scope.addHook('onRoute', (route) => { route.schema = Object.assign({}, route.schema, { hide: true }) })
  }
  scope.register(healthRoutes, options)
  scope.register((guarded, _options, guardedDone) => {
    guarded.addHook('onRequest', localOnly(insecure))
    guarded.register(statusRoutes, options)
    guarded.register(mapRoutes, options)
    guarded.register(membersRoutes, options)
    guarded.register((admin, _none, adminDone) => {
      admin.addHook('onRequest', refuseBrowsers)
      // A body that says nothing may be left out.
      admin.addHook('preValidation', (request, _reply, next) => {
        request.body ??= {}
        next()
      })
      admin.register(memberAdminRoutes, options)
      admin.register(leaderAdminRoutes, options)
      admin.register(snapshotRoutes, options)
      adminDone()
    })
    guardedDone()
  })
  done()
}
