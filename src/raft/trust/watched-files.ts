import type { Logger } from '../runtime/logger.ts'
import { FileWatch } from './file-watch.ts'

/** What files hold, as it was read once, and how to read it again. */
interface WatchedFilesOptions<Content> {
  readonly paths: readonly string[]
  /** The first reading has been made. */
  readonly current: Content
  readonly read: () => ContentReading<Content>
  /** What counts of a new reading; `before` itself when it says nothing new. */
  readonly settle: (read: Content, before: Content) => Content
  /** What may be logged of it. */
  readonly describe: (content: Content) => object
  /** Log lines: the files cannot be used, so that what was in them goes on; and they were read again. */
  readonly messages: { readonly unusable: string, readonly readAgain: string }
  readonly logger: Logger
}

/** A reading of files. */
type ContentReading<Content> =
  | { readonly kind: 'content', readonly content: Content }
  /** Why they cannot be used, for the log. */
  | { readonly kind: 'fault', readonly details: object }

/**
 * What files hold, read again when they change. What cannot be used then is logged and changes nothing: what was in
 * them before goes on.
 */
export class WatchedFiles<Content> {
  readonly #options: WatchedFilesOptions<Content>
  /** Null: it comes from no file, and stays as it is. */
  readonly #watch: FileWatch | null
  #current: Content

  constructor (options: WatchedFilesOptions<Content>) {
    const { paths, logger, current } = options
    this.#options = options
    this.#current = current
    this.#watch = paths.length === 0 ? null : new FileWatch({ paths, changed: () => { this.#readAgain() }, logger })
  }

  get current (): Content {
    return this.#current
  }

  close (): void {
    this.#watch?.close()
  }

  /** What counts from now on, and what counted before. */
  protected renewed (_current: Content, _before: Content): void {}

  #readAgain (): void {
    const { read, settle, describe, messages, logger } = this.#options
    const reading = read()
    if (reading.kind === 'fault') {
      logger.error(reading.details, messages.unusable)
      return
    }
    const before = this.#current
    const settled = settle(reading.content, before)
    if (settled === before) return
    this.#current = settled
    logger.info(describe(settled), messages.readAgain)
    this.renewed(settled, before)
  }
}
