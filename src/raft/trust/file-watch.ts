import { stat } from 'node:fs/promises'
import type { Logger } from '../runtime/logger.ts'

/** How often the files are looked at, in milliseconds. */
const lookEveryMs = 1_000

/** What a {@link FileWatch} looks at, and whom it tells. */
interface FileWatchOptions {
  /** Files that belong together: a change of one of them is a change. */
  readonly paths: readonly string[]
  /** Reads the files again. */
  readonly changed: () => void
  readonly logger: Logger
}

/**
 * Looks at files and tells when they may have changed. They are looked at rather than watched for events, so that they
 * may be links that move, as Kubernetes makes them. The first look tells as well: it misses no change between the first
 * reading and the watch. Keeps no process alive.
 */
export class FileWatch {
  readonly #options: FileWatchOptions
  readonly #timer: NodeJS.Timeout
  /** What told the files from others when they were read last. */
  #seen = ''
  #isLooking = false
  #isClosed = false

  constructor (options: FileWatchOptions) {
    this.#options = options
    this.#timer = setInterval(() => { this.#look() }, lookEveryMs)
    this.#timer.unref()
  }

  close (): void {
    this.#isClosed = true
    clearInterval(this.#timer)
  }

  #look (): void {
    // A disk that does not answer keeps a thread of Node's few, and the log needs the others.
    if (this.#isLooking) return
    this.#isLooking = true
    const { paths, logger } = this.#options
    Promise.all(paths.map(markOf))
      .then((marks) => { this.#saw(marks.join(';')) })
      .catch((err: unknown) => { logger.error({ err, paths }, 'looking at files for changes failed') })
      .finally(() => { this.#isLooking = false })
  }

  #saw (seen: string): void {
    if (this.#isClosed || seen === this.#seen) return
    this.#seen = seen
    this.#options.changed()
  }
}

/** Tells a file from the one that was there before. */
async function markOf (path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return [ino, size, mtimeNs, ctimeNs].join()
  } catch {
    return 'unreadable'
  }
}
