import type { FastifyRequest } from 'fastify'

/**
 * Who may call a route of the cluster:
 * - `open`: anybody;
 * - `read`: who may see the state of the cluster;
 * - `data`: who may read and write its data as well;
 * - `admin`: who may change its members and its leader as well.
 */
export type Access = 'open' | 'read' | 'data' | 'admin'

/** What the holder of a token may do: all that its role stands for, and what the roles before it do. */
export type TokenRole = Exclude<Access, 'open'>

/** The roles, from the one that may least. */
export const tokenRoles: readonly TokenRole[] = ['read', 'data', 'admin']

/** Whether a role is enough for a route. */
export function isEnough (role: TokenRole, access: Access): boolean {
  return access === 'open' || tokenRoles.indexOf(role) >= tokenRoles.indexOf(access)
}

/**
 * Decides whether a request may call a route of the cluster that is not open. Returns whether it may, or `{ name }` if
 * so, a name for the audit. Gets the request as it came from the network: on the routes that the cluster serves before
 * the application, no hook or decorator of the application has run. An error that it throws, and any other value, is
 * answered 500 and logged.
 */
export type Authorize = (
  request: FastifyRequest,
  access: TokenRole
) => boolean | { readonly name: string } | Promise<boolean | { readonly name: string }>
