import type { Entry, Index, Write } from '../../src/raft/core/index.ts'
import { asIndex } from '../../src/raft/core/index.ts'
import { reconcile } from '../../src/raft/driver/recovered-log.ts'
import { encodeContent } from '../../src/raft/runtime/entry-codec.ts'
import type { FileOperations, LogDisk, OpenFile } from '../../src/raft/storage/disk/file-operations.ts'
import { FileStorage } from '../../src/raft/storage/file-storage.ts'
import type { RecoveredState } from '../../src/raft/storage/storage.ts'
import { segmentId } from '../../src/raft/storage/wal/segment-file.ts'
import { systemError } from '../raft/storage/support/builders.ts'
import { SimulatedDisk } from '../raft/storage/support/simulated-disk.ts'
import type { CoreDisk, CoreNode } from '../support/core-node.ts'
import { BrokenPromise } from './promise.ts'
import type { SimRandom } from './random.ts'
import type { World } from './world.ts'

/** The production log, or a deliberately broken copy of it. */
export type StorageConstructor = new (...parameters: ConstructorParameters<typeof FileStorage>) => FileStorage

interface WriteUnderWay {
  readonly file: OpenFile
  readonly bytes: Buffer
  readonly position: number
  readonly fail: (error: Error) => void
}

export interface WalHost {
  readonly world: World
  readonly node: CoreNode
  readonly random: SimRandom
  readonly Storage: StorageConstructor | undefined
  /** How long the next write takes. */
  readonly writeUs: () => number
  /** All writes through this one are durable. */
  readonly persisted: (writeId: number) => void
  /** The log has failed for good: the node has to stop. */
  readonly failed: () => void
}

/** The log of one node as bytes: the production storage on a disk that loses, tears, refuses and rots. */
export class Wal {
  readonly #host: WalHost
  readonly #disk: SimulatedDisk
  #storage: FileStorage | null = null
  #underWay: WriteUnderWay | null = null
  /** Writes whose outcome is open since the last crash, oldest first. */
  #inDoubt: readonly Write[] = []
  #settled: Promise<void> = Promise.resolve()
  #isOpening = false
  /** Ends of processes that had this log. */
  #lives = 0
  isFull = false

  constructor (host: WalHost) {
    this.#host = host
    this.#disk = new SimulatedDisk((below) => host.random.between(0, below - 1))
  }

  /** Reads the log back, which must hold all that was confirmed, and behind it whole writes in their order. */
  async open (): Promise<RecoveredState> {
    const { node, Storage = FileStorage } = this.#host
    const options = {
      directory: this.#disk.directory,
      identity: { clusterId: 'simulated', nodeId: node.id },
      segmentBytes: 4_096,
      minFreeBytes: 0,
      spaceCheckIntervalMs: 2 ** 31 - 1
    }
    const storage = new Storage(options, this.#files())
    this.#isOpening = true
    try {
      const found = await storage.open()
      this.#check(found)
      const together = reconcile({ ...found, snapshot: node.disk.snapshot?.point ?? null })
      if (together.kind === 'missing') {
        throw new BrokenPromise('recoverable disk', `${node.id} has lost the snapshot that its log starts behind`)
      }
      this.#storage = storage
      if (together.kind === 'agree') return found
      const { base, hardState } = together
      await storage.reset(base, hardState)
      return { base, hardState, entries: [] }
    } finally {
      this.#isOpening = false
    }
  }

  write (write: Write): void {
    const { world, failed, persisted } = this.#host
    const storage = this.#opened
    world.hasPromises = true
    const done = write.kind === 'restart'
      ? storage.reset(write.base, write.hardState)
      : storage.append({ hardState: write.hardState, entries: write.entries })
    done.then(() => {
      if (this.#storage === storage) {
        persisted(write.id)
      }
    }, () => {
      if (this.#storage === storage) {
        failed()
      }
    })
      .catch((error: unknown) => { world.failure ??= error instanceof Error ? error : new Error(String(error)) })
  }

  compact (through: Index): void {
    const { world, failed } = this.#host
    const storage = this.#opened
    world.hasPromises = true
    storage.compact(through).catch(() => { if (this.#storage === storage) failed() })
  }

  /** The process ends, and with it the power or not. */
  crash (inDoubt: readonly Write[], withPowerCut: boolean): void {
    const storage = this.#storage
    this.#inDoubt = inDoubt
    this.#storage = null
    this.#lives++
    const { world, random } = this.#host
    const underWay = this.#underWay
    this.#underWay = null
    if (underWay !== null) {
      // Some of it may have reached the page cache, and from there the disk.
      const end = random.between(0, underWay.bytes.length)
      this.#settled = underWay.file.write(underWay.bytes.subarray(0, end), underWay.position).then(() => {
        this.#disk.restart(withPowerCut)
      })
      world.blockOn(this.#settled)
      underWay.fail(systemError('EIO'))
    } else this.#disk.restart(withPowerCut)
    if (storage !== null) storage.close().catch(() => {})
    world.hasPromises = true
  }

  /** The run is over: closes everything, timers included. */
  end (): void {
    this.#lives++
    this.#underWay?.fail(systemError('EIO'))
    this.#underWay = null
    this.#storage?.close().catch(() => {})
    this.#storage = null
  }

  /** The outcome of the last crash is decided. */
  settled (): Promise<void> { return this.#settled }

  /** One bit of a segment changes while the node is down. */
  rot (random: SimRandom): void {
    const segments = this.#disk.names.filter((name) => segmentId(name) !== null)
    if (segments.length === 0) return
    const name = random.pick(segments)
    const bytes = this.#disk.read(name)
    const used = bytes.findLastIndex((byte) => byte !== 0) + 1
    if (used === 0) return
    const at = random.between(0, used - 1)
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.between(0, 7)), at)
    this.#disk.put(name, bytes)
  }

  get #opened (): FileStorage {
    if (this.#storage === null) throw new Error(`${this.#host.node.id} has no open log`)
    return this.#storage
  }

  #files (): FileOperations {
    const { files } = this.#disk
    const createNew: FileOperations['createNew'] = (path) =>
      this.isFull ? Promise.reject(systemError('ENOSPC')) : files.createNew(path)
    return {
      ...files,
      createNew,
      startDisk: (task) => (task === 'log' ? this.#slowDisk(files.startDisk(task)) : files.startDisk(task))
    }
  }

  #slowDisk (disk: LogDisk): LogDisk {
    const { world, random, writeUs } = this.#host
    const life = this.#lives
    const write = (file: OpenFile, bytes: Buffer, position: number): Promise<void> => this.#isOpening
      ? disk.write(file, bytes, position)
      : new Promise((resolve, reject) => {
        // A process that has ended writes no more, also with writes left in its queue.
        if (life !== this.#lives) {
          reject(systemError('EIO'))
          return
        }
        const underWay = { file, bytes, position, fail: reject }
        this.#underWay = underWay
        world.queue.after(writeUs(), () => {
          if (this.#underWay !== underWay) return
          this.#underWay = null
          world.hasPromises = true
          if (this.isFull) reject(systemError('ENOSPC'))
          else if (!world.isHealed && random.chance(world.plan.disk.errors)) reject(systemError('EIO'))
          else disk.write(file, bytes, position).then(resolve, reject)
        })
      })
    return { ...disk, write }
  }

  #check (found: RecoveredState): void {
    const { node } = this.#host
    let expected: Pick<CoreDisk, 'base' | 'hardState' | 'entries'> = node.disk
    const { length } = this.#inDoubt
    for (let count = 0; count <= length; count++) {
      if (holdsSame(found, expected)) {
        this.#inDoubt = []
        return
      }
      const next = this.#inDoubt[count]
      if (next !== undefined) expected = after(expected, next)
    }
    throw new BrokenPromise(
      'a log keeps what it confirmed',
      `${node.id} recovers ${found.entries.length} entries behind ${found.base.index}, term ${found.hardState.term}, and had ${node.disk.entries.length} behind ${node.disk.base.index}, term ${node.disk.hardState.term}`
    )
  }
}

function after (
  { base, hardState, entries }: Pick<CoreDisk, 'base' | 'hardState' | 'entries'>,
  write: Write
): Pick<CoreDisk, 'base' | 'hardState' | 'entries'> {
  if (write.kind === 'restart') return { base: write.base, hardState: write.hardState, entries: [] }
  const first = write.entries[0]?.index ?? asIndex(Number.MAX_SAFE_INTEGER)
  return {
    base,
    hardState: write.hardState ?? hardState,
    entries: [...entries.filter(({ index }) => index < first), ...write.entries]
  }
}

/** Whether the log holds this; a compaction that a crash undid may leave more of its beginning. */
function holdsSame (
  found: RecoveredState,
  { base, hardState, entries }: Pick<CoreDisk, 'base' | 'hardState' | 'entries'>
): boolean {
  const behind = found.entries.filter(({ index }) => index > base.index)
  return (
    found.base.index <= base.index &&
    behind.length === entries.length &&
    found.hardState.term === hardState.term &&
    found.hardState.vote === hardState.vote &&
    found.hardState.commit === hardState.commit &&
    behind.every(
      (entry, position) =>
        entry.index === entries[position]?.index &&
        entry.term === entries[position]?.term &&
        isSameContent(entry, entries[position])
    )
  )
}

function isSameContent (one: Entry, other: Entry | undefined): boolean {
  return other !== undefined && Buffer.compare(encodeContent(one), encodeContent(other)) === 0
}
