import type { Logger } from '../runtime/logger.ts'
import { validityOf } from './certificate-chain.ts'
import type { TlsSource } from './tls-material.ts'

const lookEveryMs = 60_000
const warnEveryMs = 86_400_000
/** From when on it warns, unless a quarter of the certificate's life is less. */
const longestNoticeMs = 14 * 86_400_000

/** Warns once a day of an own certificate that is about to expire, and of one that has. */
export class ExpiryWarning {
  readonly #tls: TlsSource
  readonly #logger: Logger
  readonly #timer: NodeJS.Timeout
  #warnedMs = -Infinity

  constructor (tls: TlsSource, logger: Logger) {
    this.#tls = tls
    this.#logger = logger
    this.#timer = setInterval(() => { this.look(Date.now()) }, lookEveryMs)
    this.#timer.unref()
    this.look(Date.now())
  }

  close (): void {
    clearInterval(this.#timer)
  }

  look (nowMs: number): void {
    const { own } = this.#tls.current
    if (own === null) return
    const { fromMs, untilMs } = validityOf(own.certificate)
    const noticeMs = Math.min(longestNoticeMs, (untilMs - fromMs) / 4)
    if (nowMs < untilMs - noticeMs) {
      this.#warnedMs = -Infinity
      return
    }
    if (nowMs - this.#warnedMs < warnEveryMs) return
    this.#warnedMs = nowMs
    const expires = new Date(untilMs).toISOString()
    if (nowMs > untilMs) {
      this.#logger.error({ expires }, 'the own certificate has expired, and nobody accepts it: renew it')
    } else this.#logger.warn({ expires }, 'the own certificate expires soon: renew it')
  }
}
