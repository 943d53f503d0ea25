import type { FileOperations } from './file-operations.ts'

/** When space is low, and who wants to know. */
export interface SpaceWatchOptions {
  readonly directory: string
  readonly minFreeBytes: number
  readonly intervalMs: number
  /** Called when space gets low and when it no longer is. */
  readonly onChange: (isLow: boolean, freeBytes: number) => void
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

  constructor (files: FileOperations, options: SpaceWatchOptions) {
    this.#files = files
    this.#options = options
  }

  get isLow (): boolean { return this.#isLow }

  /** Looks once, and from then on at each interval. Rejects when the first look fails. */
  async start (): Promise<void> {
    await this.check()
    // A later look that fails changes nothing: the write that fails will tell.
    this.#timer = setInterval(() => { this.check().catch(() => {}) }, this.#options.intervalMs)
    this.#timer.unref()
  }

  /** Looks now. */
  check (): Promise<void> {
    this.#checking ??= this.#check().finally(() => { this.#checking = null })
    return this.#checking
  }

  /** The space ran out, whatever the last look said. */
  reportFull (): void {
    this.#set(true, 0)
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
    if (isLow === this.#isLow) return
    this.#isLow = isLow
    this.#options.onChange(isLow, freeBytes)
  }
}
