import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { BrokenRule } from './target.ts'

/** Fails when a prototype that all objects share has gained, lost or changed a member. */
export class PrototypeWatch {
  readonly #seen = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Promise.prototype]
    .map((prototype) => {
      const members = Object.getOwnPropertyDescriptors(prototype) as Record<PropertyKey, PropertyDescriptor>
      return { prototype, contents: new Map(Reflect.ownKeys(members).map((key) => [key, contentOf(members[key])])) }
    })

  check (): void {
    for (const { prototype, contents } of this.#seen) {
      const now = Reflect.ownKeys(prototype)
      const added = now.filter((key) => !contents.has(key))
      const isSame = now.length === contents.size && added.length === 0 && now.every((key) =>
        contentOf(Reflect.getOwnPropertyDescriptor(prototype, key)) === contents.get(key))
      if (!isSame) {
        // Taken off again, so that what follows is judged by itself.
        for (const key of added) Reflect.deleteProperty(prototype, key)
        const what = added.length === 0 ? 'a member' : added.map(String).join(', ')
        throw new BrokenRule('no input changes a prototype', `${what} of ${prototype.constructor.name}`)
      }
    }
  }
}

function contentOf (descriptor: PropertyDescriptor = {}): unknown {
  // Both halves of an accessor come together.
  return Reflect.get(descriptor, 'get') ?? Reflect.get(descriptor, 'value')
}

const mebibyte = 1024 * 1024

type Allocate = (size: number, ...rest: readonly unknown[]) => Buffer
const allocators = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const

/** Fails when one input makes this process ask for far more memory than its size explains. */
export class AllocationWatch {
  readonly #maxBytes: number
  readonly #originals = allocators.map((name) => [name, Reflect.get(Buffer, name) as Allocate] as const)
  #bytes = 0

  constructor (maxBytes = 32 * mebibyte) {
    this.#maxBytes = maxBytes
    for (const [name, allocate] of this.#originals) {
      Reflect.set(Buffer, name, (size: number, ...rest: readonly unknown[]) => {
        this.#bytes += size
        if (size > this.#maxBytes) throw new BrokenRule('no input takes much memory', `${size} bytes at once`)
        return allocate(size, ...rest)
      })
    }
  }

  /** Before each input. */
  start (): void { this.#bytes = 0 }

  check (): void {
    if (this.#bytes > this.#maxBytes) throw new BrokenRule('no input takes much memory', `${this.#bytes} bytes in all`)
  }

  stop (): void {
    for (const [name, allocate] of this.#originals) Reflect.set(Buffer, name, allocate)
  }
}

/** Looks at an input that is not answered, before it has had its time. */
const looks = 10

/**
 * Fails when an input is not answered in time, or when something throws that nobody waits for. Time is that which this
 * process gets: its CPU time, and turns of its event loop. On a busy machine the clock alone would accuse inputs.
 */
export class RunWatch {
  readonly #limitMs: number
  readonly #timer: NodeJS.Timeout
  #looksLeft = looks
  #fail: ((error: Error) => void) | null = null
  #stray: Error | null = null

  constructor (limitMs = 2_000) {
    this.#limitMs = limitMs
    process.on('uncaughtException', this.#strayed)
    process.on('unhandledRejection', this.#strayed)
    // One timer for all inputs.
    this.#timer = setInterval(() => {
      if (this.#fail === null || this.#looksLeft-- > 0) return
      this.#fail(new BrokenRule('every input is answered in time', `no answer after ${this.#limitMs} ms`))
    }, limitMs / looks)
  }

  /** What `work` resolves with; rejects with {@link BrokenRule} when it takes too long. */
  async watch<Result> (work: () => Promise<Result>): Promise<Result> {
    this.#looksLeft = looks
    const before = process.cpuUsage()
    const failed = new Promise<never>((_resolve, reject) => { this.#fail = reject })
    try {
      const result = await Promise.race([work(), failed])
      const { user, system } = process.cpuUsage(before)
      const tookMs = Math.round((user + system) / 1_000)
      if (tookMs > this.#limitMs) {
        throw new BrokenRule('every input is answered in time', `it took ${tookMs} ms of CPU time`)
      }
      return result
    } finally {
      this.#fail = null
    }
  }

  /** What was thrown since the last call with nobody to catch it. */
  checkStray (): void {
    const stray = this.#stray
    this.#stray = null
    if (stray !== null) throw new BrokenRule('nothing is thrown that nobody catches', stray.stack ?? stray.message)
  }

  stop (): void {
    clearInterval(this.#timer)
    process.off('uncaughtException', this.#strayed)
    process.off('unhandledRejection', this.#strayed)
  }

  readonly #strayed = (error: unknown): void => {
    this.#stray ??= error instanceof Error ? error : new Error(String(error))
    this.#fail?.(new BrokenRule('nothing is thrown that nobody catches', this.#stray.stack ?? this.#stray.message))
  }
}

/** Fails when memory grows with the number of inputs. */
export class MemoryWatch {
  readonly #collect: () => void
  readonly #maxGrowthBytes: number
  /** Least memory in use so far, once warm. */
  #least = Infinity
  readonly samples: number[] = []

  constructor (maxGrowthBytes = 32 * mebibyte) {
    this.#maxGrowthBytes = maxGrowthBytes
    setFlagsFromString('--expose-gc')
    this.#collect = runInNewContext('gc') as () => void
  }

  /** Now and then, between two inputs. */
  check (): void {
    this.#collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    const bytes = heapUsed + arrayBuffers
    this.samples.push(bytes)
    // The first samples lack what every target keeps: compiled code, caches, pools.
    if (this.samples.length <= 2) return
    this.#least = Math.min(this.#least, bytes)
    if (bytes - this.#least > this.#maxGrowthBytes) {
      const sizes = this.samples.map((sample) => (sample / mebibyte).toFixed(0)).join(', ')
      throw new BrokenRule('memory does not grow with the number of inputs', `${sizes} MiB in use`)
    }
  }
}
