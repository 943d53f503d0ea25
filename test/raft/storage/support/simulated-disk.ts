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

/**
 * A disk with one directory, in memory, that loses and tears what was not synced: each sector written since the last
 * sync of its file survives a power cut or not, and of the changes to the directory a first part does.
 */
export class SimulatedDisk {
  readonly directory = '/data'
  readonly files: FileOperations
  readonly #random: Random
  #names: Names = new Map()
  #durableNames: Names = new Map()
  #nameChanges: ((names: Names) => void)[] = []
  #callsLeft = Number.POSITIVE_INFINITY
  #failsInstead = false
  #isDown = false

  constructor (random: Random) {
    this.#random = random
    const operations: Omit<FileOperations, 'startDisk'> = {
      kindOf: async (path) =>
        this.#names.has(basename(path)) ? 'file' : path === this.directory ? 'directory' : 'missing',
      list: async () => [...this.#names.keys()],
      checkAccess: () => Promise.resolve(),
      makeDirectory: () => Promise.resolve(undefined),
      syncDirectory: async () => {
        this.#step()
        for (const change of this.#nameChanges.splice(0)) change(this.#durableNames)
      },
      openExisting: async (path) => this.#open(this.#named(path)),
      createNew: async (path) => {
        this.#step()
        if (this.#names.has(basename(path))) throw systemError('EEXIST')
        const file = new SimulatedFile()
        this.#rename((names) => {
          names.set(basename(path), file)
        })
        return this.#open(file)
      },
      claim: () => Promise.resolve({ weakness: null, release: () => Promise.resolve() }),
      rename: async (from, to) => {
        this.#step()
        const file = this.#named(from)
        this.#rename((names) => {
          names.delete(basename(from))
          names.set(basename(to), file)
        })
      },
      remove: async (path) => {
        this.#step()
        this.#named(path)
        this.#rename((names) => {
          names.delete(basename(path))
        })
      },
      freeBytes: () => Promise.resolve(Number.MAX_SAFE_INTEGER)
    }
    this.files = {
      ...operations,
      startDisk: () =>
        inlineDisk({ ...operations, syncDirectory: () => operations.syncDirectory(dirname(this.directory)) })
    }
  }

  get names (): readonly string[] { return [...this.#names.keys()].sort() }

  /** Everything fails from the call after this many on. */
  failAfter (calls: number): void {
    this.#callsLeft = calls
    this.#failsInstead = false
  }

  /** One call fails after this many, and what it should have synced is taken for clean: later syncs skip it. */
  failOnceAfter (calls: number): void {
    this.#callsLeft = calls
    this.#failsInstead = true
  }

  /** The process dies, and the disk with it or not; then everything works again. */
  restart (withPowerCut: boolean): void {
    this.#isDown = false
    this.#failsInstead = false
    this.#callsLeft = Number.POSITIVE_INFINITY
    if (!withPowerCut) return
    const surviving = this.#nameChanges.splice(0).filter((_, at, all) => at < this.#random(all.length + 1))
    for (const change of surviving) change(this.#durableNames)
    this.#names = new Map(this.#durableNames)
    for (const file of this.#names.values()) file.powerCut(this.#random)
  }

  /** A file's content. */
  read (name: string): Buffer {
    return Buffer.from(this.#named(name).content)
  }

  /** Puts a file, durably. */
  put (name: string, bytes: Uint8Array): void {
    const file = new SimulatedFile()
    file.write(bytes, 0)
    file.sync()
    this.#names.set(name, file)
    this.#durableNames.set(name, file)
  }

  #named (path: string): SimulatedFile {
    const file = this.#names.get(basename(path))
    if (file === undefined) throw systemError('ENOENT')
    return file
  }

  #rename (change: (names: Names) => void): void {
    change(this.#names)
    this.#nameChanges.push(change)
  }

  #step (torn: () => void = () => {}): void {
    if (!this.#isDown && this.#callsLeft > 0) {
      this.#callsLeft -= 1
      return
    }
    if (!this.#isDown) torn()
    this.#isDown = !this.#failsInstead
    this.#callsLeft = this.#failsInstead ? Number.POSITIVE_INFINITY : 0
    throw systemError('EIO')
  }

  #open (file: SimulatedFile): OpenFile {
    const sync = async (): Promise<void> => {
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
