import type { Dispatcher, Pool } from 'undici'
import type { TlsMaterial, TlsSource } from '../trust/tls-material.ts'
import { undici } from './undici.ts'

/** What requests are sent with. */
export type Sender = Pick<Dispatcher, 'dispatch'>

/**
 * Connections to one node that follow the certificates of the moment: when those have changed, the next request opens
 * new connections, and each of the former ones ends with the request that it carries. undici takes the certificates of
 * a pool once.
 */
export class RenewedPool implements Sender {
  readonly #url: string
  readonly #tls: TlsSource
  readonly #optionsOf: (material: TlsMaterial) => Pool.Options
  #material: TlsMaterial
  #pool: Pool
  /** Those that still carry requests. */
  readonly #former = new Set<Pool>()
  #isDestroyed = false

  constructor (url: string, tls: TlsSource, optionsOf: (material: TlsMaterial) => Pool.Options) {
    this.#url = url
    this.#tls = tls
    this.#optionsOf = optionsOf
    this.#material = tls.current
    this.#pool = this.#open()
  }

  get current (): Pool {
    if (this.#material !== this.#tls.current && !this.#isDestroyed) this.#renew()
    return this.#pool
  }

  dispatch (options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return this.current.dispatch(options, handler)
  }

  /** Carries the requests that it has to their ends, and then closes. */
  end (): void {
    this.#isDestroyed = true
    // Rejects when it is destroyed meanwhile.
    this.#pool.close().catch(() => {})
  }

  /** Cuts all requests. */
  async destroy (): Promise<void> {
    this.#isDestroyed = true
    await Promise.all([this.#pool, ...this.#former].map(async (pool) => { await pool.destroy() }))
  }

  /** In HTTP/1.1, whatever the server offers: the fields of HTTP/2 come in another form. */
  #open (): Pool {
    return new undici.Pool(this.#url, { ...this.#optionsOf(this.#material), allowH2: false })
  }

  #renew (): void {
    const former = this.#pool
    this.#material = this.#tls.current
    this.#pool = this.#open()
    this.#former.add(former)
    const forget = (): void => { this.#former.delete(former) }
    // Rejects when it is destroyed meanwhile.
    former.close().then(forget, forget)
  }
}
