import { basename, dirname } from 'node:path'
import type { FileOperations, OpenFile } from '../../../../src/raft/storage/disk/file-operations.ts'
import { inlineDisk, systemError } from './builders.ts'

const sectorBytes = 512

/** A whole number below the given one. */
export type Random = (below: number) => number

/** Numbers from a seed, so that a failure can be run again (mulberry32). */
export function randomFrom (seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** A file: what is read from it, what a power cut leaves for certain, and what may have reached the disk besides. */
class SimulatedFile {
  content = Buffer.alloc(0)
  durable = Buffer.alloc(0)
  /** What was written to each sector since the last sync, in order. */
  readonly pending = new Map<number, Buffer[]>()

  write (bytes: Uint8Array, position: number): void {
    const end = position + bytes.length
    if (end > this.content.length) this.content = Buffer.concat([this.content, Buffer.alloc(end - this.content.length)])
    this.content.set(bytes, position)
    for (let sector = Math.floor(position / sectorBytes); sector * sectorBytes < end; sector++) {
      const now = Buffer.from(this.content.subarray(sector * sectorBytes, (sector + 1) * sectorBytes))
      this.pending.set(sector, [...this.pending.get(sector) ?? [], now])
    }
  }

  sync (): void {
    this.#grow(this.content.length)
    for (const [sector, versions] of this.pending) versions.at(-1)?.copy(this.durable, sector * sectorBytes)
    this.pending.clear()
  }

  powerCut (random: Random): void {
    if (random(2) === 0) this.#grow(this.content.length)
    for (const [sector, versions] of this.pending) {
      const survivor = versions[random(versions.length + 1) - 1]
      if (survivor === undefined) continue
      if (sector * sectorBytes < this.durable.length) survivor.copy(this.durable, sector * sectorBytes)
    }
    this.pending.clear()
    this.content = Buffer.from(this.durable)
  }

  #grow (bytes: number): void {
    if (bytes > this.durable.length) {
      this.durable = Buffer.concat([this.durable, Buffer.alloc(bytes - this.durable.length)])
    }
  }
}

type Names = Map<string, SimulatedFile>

/** A directory: its names now, those that a power cut leaves for certain, and the changes in between, in order. */
class SimulatedDirectory {
  names: Names = new Map()
  durable: Names = new Map()
  readonly #changes: ((names: Names) => void)[] = []

  change (change: (names: Names) => void): void {
    change(this.names)
    this.#changes.push(change)
  }

  sync (): void {
    for (const change of this.#changes.splice(0)) change(this.durable)
  }

  powerCut (random: Random): void {
    const surviving = this.#changes.splice(0).filter((_, at, all) => at < random(all.length + 1))
    for (const change of surviving) change(this.durable)
    this.names = new Map(this.durable)
    for (const file of this.names.values()) file.powerCut(random)
  }
}

/** More about a {@link SimulatedDisk}, for disks that several nodes run on at once. */
interface SimulatedDiskOptions {
  /** Resolves when a change of the disk takes effect; at once unless given. A power cut before that prevents it. */
  readonly latency?: () => Promise<void>
  /** The disk went down at the call that `failAfter` said. */
  readonly onDown?: () => void
}

/**
 * A disk with one directory and those inside it, in memory, that loses and tears what was not synced: each sector
 * written since the last sync of its file survives a power cut or not, and of the changes to a directory a first part
 * does. Directories themselves survive.
 */
export class SimulatedDisk {
  readonly directory = '/data'
  readonly files: FileOperations
  readonly #random: Random
  readonly #latency: (() => Promise<void>) | null
  readonly #onDown: () => void
  readonly #root = new SimulatedDirectory()
  readonly #directories = new Map<string, SimulatedDirectory>([[this.directory, this.#root]])
  #callsLeft = Number.POSITIVE_INFINITY
  #failsInstead = false
  #isDown = false
  /** Rises with each restart: what a process of before it still has open is of no use any more. */
  #run = 0

  constructor (random: Random, { latency, onDown = () => {} }: SimulatedDiskOptions = {}) {
    this.#random = random
    this.#latency = latency ?? null
    this.#onDown = onDown
    const operations: Omit<FileOperations, 'startDisk'> = {
      kindOf: async (path) =>
        this.#directories.has(path)
          ? 'directory'
          : this.#directories.get(dirname(path))?.names.has(basename(path)) === true ? 'file' : 'missing',
      list: async (path) => [
        ...this.#in(path).names.keys(),
        ...[...this.#directories.keys()].filter((inner) => dirname(inner) === path).map((inner) => basename(inner))
      ],
      checkAccess: () => Promise.resolve(),
      makeDirectory: async (path) => {
        if (this.#directories.has(path)) return undefined
        this.#directories.set(path, new SimulatedDirectory())
        return path
      },
      syncDirectory: async (path) => {
        if (this.#latency !== null) await this.#delay(this.#latency)
        this.#step()
        this.#directories.get(path)?.sync()
      },
      openExisting: async (path) => this.#open(this.#named(path)),
      createNew: async (path) => {
        this.#step()
        const { names } = this.#in(dirname(path))
        if (names.has(basename(path))) throw systemError('EEXIST')
        const file = new SimulatedFile()
        this.#change(path, (changed) => { changed.set(basename(path), file) })
        return this.#open(file)
      },
      claim: () => Promise.resolve({ weakness: null, release: () => Promise.resolve() }),
      rename: async (from, to) => {
        if (this.#latency !== null) await this.#delay(this.#latency)
        this.#step()
        const file = this.#named(from)
        this.#change(from, (names) => {
          names.delete(basename(from))
          names.set(basename(to), file)
        })
      },
      remove: async (path) => {
        this.#step()
        this.#named(path)
        this.#change(path, (names) => { names.delete(basename(path)) })
      },
      freeBytes: () => Promise.resolve(Number.MAX_SAFE_INTEGER)
    }
    this.files = {
      ...operations,
      startDisk: () =>
        inlineDisk({ ...operations, syncDirectory: () => operations.syncDirectory(this.directory) })
    }
  }

  /** The names in the first directory. */
  get names (): readonly string[] { return [...this.#root.names.keys()].sort() }

  /** Everything fails from the call after this many on. */
  failAfter (calls: number): void {
    this.#callsLeft = calls
    this.#failsInstead = false
  }

  /** Everything fails from now on. */
  goDown (): void {
    this.#isDown = true
  }

  /** One call fails after this many, and what it should have synced is taken for clean: later syncs skip it. */
  failOnceAfter (calls: number): void {
    this.#callsLeft = calls
    this.#failsInstead = true
  }

  /** The process dies, and the disk with it or not; then everything works again. */
  restart (withPowerCut: boolean): void {
    this.#run++
    this.#isDown = false
    this.#failsInstead = false
    this.#callsLeft = Number.POSITIVE_INFINITY
    if (!withPowerCut) return
    for (const directory of this.#directories.values()) directory.powerCut(this.#random)
  }

  /** A file's content. */
  read (name: string): Buffer {
    return Buffer.from(this.#named(`${this.directory}/${name}`).content)
  }

  /** Puts a file, durably. */
  put (name: string, bytes: Uint8Array): void {
    const file = new SimulatedFile()
    file.write(bytes, 0)
    file.sync()
    this.#root.names.set(name, file)
    this.#root.durable.set(name, file)
  }

  #in (path: string): SimulatedDirectory {
    const directory = this.#directories.get(path)
    if (directory === undefined) throw systemError('ENOENT')
    return directory
  }

  #named (path: string): SimulatedFile {
    const file = this.#in(dirname(path)).names.get(basename(path))
    if (file === undefined) throw systemError('ENOENT')
    return file
  }

  #change (path: string, change: (names: Names) => void): void {
    this.#in(dirname(path)).change(change)
  }

  async #delay (latency: () => Promise<void>): Promise<void> {
    const run = this.#run
    await latency()
    if (run !== this.#run) throw systemError('EIO')
  }

  #step (torn: () => void = () => {}): void {
    if (!this.#isDown && this.#callsLeft > 0) {
      this.#callsLeft -= 1
      return
    }
    const goesDown = !this.#isDown && !this.#failsInstead
    if (!this.#isDown) torn()
    this.#isDown = !this.#failsInstead
    this.#callsLeft = this.#failsInstead ? Number.POSITIVE_INFINITY : 0
    if (goesDown) this.#onDown()
    throw systemError('EIO')
  }

  #open (file: SimulatedFile): OpenFile {
    const run = this.#run
    const refuseIfOld = (): void => { if (run !== this.#run) throw systemError('EIO') }
    const sync = async (): Promise<void> => {
      if (this.#latency !== null) await this.#delay(this.#latency)
      refuseIfOld()
      this.#step(() => { if (this.#failsInstead) file.pending.clear() })
      file.sync()
    }
    return {
      descriptor: -1,
      size: async () => file.content.length,
      read: async (target, position) => {
        const piece = file.content.subarray(position, position + target.length)
        target.set(piece)
        return piece.length
      },
      write: async (bytes, position) => {
        refuseIfOld()
        this.#step(() => { file.write(bytes.subarray(0, this.#random(bytes.length + 1)), position) })
        file.write(bytes, position)
        return bytes.length
      },
      dataSync: sync,
      sync,
      close: () => Promise.resolve()
    }
  }
}
