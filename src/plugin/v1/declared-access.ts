import type { FastifyInstance, RouteOptions } from 'fastify'
import type { Access } from '../options/access.ts'
import { routeName } from '../routes/route-marks.ts'
import { clientLimits } from './client-requests.ts'
import type { V1Options } from './options.ts'

/** Name of our security scheme in the OpenAPI document of an application, which may have others. */
const schemeName = 'clusterToken'

/** An OpenAPI document as far as it is ours to change. */
interface OpenApiDocument {
  components: { securitySchemes?: Readonly<Record<string, object>> }
}

/** What @fastify/swagger calls the `swaggerTransform` of a route with. */
interface TransformedRoute {
  readonly schema?: object
  readonly url: string
  /** Missing in documents of Swagger 2. */
  readonly openapiObject?: OpenApiDocument
}

/**
 * Makes sure that each route of a scope states who may call it, and shows that in its schema, as `x-access`. Throws for
 * a route that does not. Only with `openApi` the routes are part of the application's OpenAPI document at all.
 */
export function stateAccess (
  scope: FastifyInstance,
  { openApi, showsTokens }: Pick<V1Options, 'openApi' | 'showsTokens'>
): void {
  scope.addHook('onRoute', (route) => {
    const access = accessOf(route)
    if (access === 'admin') route.bodyLimit = clientLimits.maxAdminBodyBytes
    route.schema = Object.assign({}, route.schema, { 'x-access': access }, openApi ? {} : { hide: true })
    if (!openApi || !showsTokens) return
    const swaggerTransform = (transformed: TransformedRoute): object => withSecurity(transformed, access)
    route.config = Object.assign({}, route.config, { swaggerTransform })
  })
}

function accessOf (route: RouteOptions): Access {
  const access = route.config?.clusterAccess
  if (access === undefined) throw new TypeError(`${routeName(route)} does not state who may call it (clusterAccess)`)
  return access
}

/** A document can be added to only while it is made. The document is ours then, its schemes are the application's. */
function withSecurity ({ schema, url, openapiObject }: TransformedRoute, access: Access): object {
  if (openapiObject === undefined) return { schema, url }
  const { components } = openapiObject
  components.securitySchemes = {
    ...components.securitySchemes,
    [schemeName]: { type: 'http', scheme: 'bearer', description: 'A token of the cluster with the role of x-access.' }
  }
  return { schema: { ...schema, security: access === 'open' ? [] : [{ [schemeName]: [] }] }, url }
}
