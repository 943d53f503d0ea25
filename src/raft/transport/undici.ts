import { createRequire } from 'node:module'
import type { buildConnector, Client, Dispatcher, Pool } from 'undici'

/** The parts of undici that peers and forwarded requests are sent with. */
interface Undici {
  readonly Pool: typeof Pool
  readonly Client: typeof Client
  readonly buildConnector: typeof buildConnector
  /** A method of pools and clients, which only the whole package gives to them. */
  readonly request: (this: Dispatcher, options: Dispatcher.RequestOptions) => Promise<Dispatcher.ResponseData>
}

/**
 * Those parts alone, without `fetch`, caches, mocks and all else of the package, which would take some 8 MB and a good
 * part of the time of the import. Where a release of undici keeps them elsewhere, the whole package is taken.
 */
export const undici: Undici = loadUndici(createRequire(import.meta.url))

/** Takes undici from what `require` finds. */
export function loadUndici (require: (id: string) => unknown): Undici {
  try {
    return {
      Pool: require('undici/lib/dispatcher/pool.js') as typeof Pool,
      Client: require('undici/lib/dispatcher/client.js') as typeof Client,
      buildConnector: require('undici/lib/core/connect.js') as typeof buildConnector,
      request: require('undici/lib/api/api-request.js') as Undici['request']
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw error
    const whole = require('undici') as Undici & { readonly Dispatcher: { readonly prototype: Pick<Undici, 'request'> } }
    return { ...whole, request: whole.Dispatcher.prototype.request }
  }
}
