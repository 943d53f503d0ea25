import type { FastifyPluginCallback } from 'fastify'
import { guardAccess } from './access.ts'
import { changeRoutes } from './change-routes.ts'
import { stateAccess } from './declared-access.ts'
import { healthRoutes } from './health-routes.ts'
import { leaderAdminRoutes } from './leader-routes.ts'
import { lockRoutes } from './lock-routes.ts'
import { mapRoutes } from './map-routes.ts'
import { memberAdminRoutes, membersRoutes } from './member-routes.ts'
import type { V1Options } from './options.ts'
import { scheduleRoutes } from './schedule-routes.ts'
import { isolateScope } from './scope.ts'
import { sessionRoutes } from './session-routes.ts'
import { snapshotRoutes } from './snapshot-routes.ts'
import { statusRoutes } from './status-routes.ts'
import { taskRoutes } from './task-routes.ts'
import { transactionRoutes } from './transaction-routes.ts'

/** Those that nodes, gateways and orchestrators call by themselves. */
const calledByNodes = [healthRoutes, statusRoutes, membersRoutes, memberAdminRoutes]

/** All routes under `/_cluster/v1`. */
export const v1Routes = createRoutes([
  ...calledByNodes,
  mapRoutes,
  transactionRoutes,
  changeRoutes,
  lockRoutes,
  sessionRoutes,
  scheduleRoutes,
  taskRoutes,
  leaderAdminRoutes,
  snapshotRoutes
])

/** Those of them that nodes, gateways and orchestrators call by themselves. */
export const nodeRoutes = createRoutes(calledByNodes)

function createRoutes (
  plugins: readonly FastifyPluginCallback<V1Options>[]
): FastifyPluginCallback<V1Options> {
  return (scope, given, done) => {
    // Not the options as they came: they hold the prefix of this scope, and it would be applied once more.
    const { cluster, changes, kv, catchUp, watch, clients, guards, path, openApi, logger } = given
    const { transact, history, streams, locks, sessions, schedules, tasks } = given
    const { judge, audit, showsTokens, isJoining, isDraining } = given
    const trust = { judge, audit, showsTokens }
    const primitives = { kv, transact, history, streams, locks, sessions, schedules, tasks }
    const state = { catchUp, isJoining, isDraining }
    const options: V1Options = {
      cluster, changes, watch, clients, guards, path, openApi, logger, ...state, ...primitives, ...trust
    }
    // Before the rest: who is not let in learns nothing.
    guardAccess(scope, options)
    isolateScope(scope, options)
    stateAccess(scope, options)
    for (const plugin of plugins) scope.register(plugin, options)
    done()
  }
}
