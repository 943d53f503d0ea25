import type { FileOperations } from './file-operations.ts'
import { systemErrorCode } from './file-operations.ts'

/** When space counts as low, and how often it is checked. */
interface SpaceWatchOptions {
  readonly directory: string
  readonly minFreeBytes: number
  readonly intervalMs: number
  /** Called when space gets low and when it no longer is. */
  readonly onLowSpace: (isLow: boolean, freeBytes: number) => void
}

/**
 * Watches the free space of a data directory's file system, so that low space is known before a write fails for it.
 */
export class SpaceWatch {
  readonly #files: FileOperations
  readonly #options: SpaceWatchOptions
  #timer: NodeJS.Timeout | null = null
  #checking: Promise<void> | null = null
  #isLow = false
  #isCritical = false

  constructor (files: FileOperations, options: SpaceWatchOptions) {
    this.#files = files
    this.#options = options
  }

  get isLow (): boolean { return this.#isLow }

  /** Whether less than half of `minFreeBytes` is free. */
  get isCritical (): boolean { return this.#isCritical }

  /** Checks once, and from then on at each interval. Rejects when the first check fails. */
  async start (): Promise<void> {
    await this.check()
    // A later check that fails changes nothing: if the disk is broken, a write will fail.
    this.#timer = setInterval(() => { this.check().catch(() => {}) }, this.#options.intervalMs)
    this.#timer.unref()
  }

  /** Checks now. */
  check (): Promise<void> {
    this.#checking ??= this.#check().finally(() => { this.#checking = null })
    return this.#checking
  }

  /** A write failed with `cause`: if the file system is full, space is low whatever the last check found. */
  reportFailure (cause: unknown): void {
    if (systemErrorCode(cause) === 'ENOSPC') this.#set(true, 0)
  }

  stop (): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  async #check (): Promise<void> {
    const freeBytes = await this.#files.freeBytes(this.#options.directory)
    this.#set(freeBytes < this.#options.minFreeBytes, freeBytes)
  }

  #set (isLow: boolean, freeBytes: number): void {
    this.#isCritical = isLow && freeBytes < this.#options.minFreeBytes / 2
    if (isLow === this.#isLow) return
    this.#isLow = isLow
    this.#options.onLowSpace(isLow, freeBytes)
  }
}
