import { crc32 } from 'node:zlib'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import { writeFully } from '../../../src/raft/storage/disk/file-operations.ts'
import type { SnapshotInfo } from '../../../src/raft/storage/snapshot-store.ts'
import { FileSnapshotStore } from '../../../src/raft/storage/snapshots/file-snapshot-store.ts'
import {
  chunkHeadBytes,
  encodeSnapshotEnd,
  encodeSnapshotHeader,
  sealChunk
} from '../../../src/raft/storage/snapshots/snapshot-format.ts'
import { randomFrom, SimulatedDisk } from '../../raft/storage/support/simulated-disk.ts'
import { SimRandom } from '../../sim/random.ts'
import { wholeOf, withBytes } from '../bytes.ts'
import type { FileDamage, ForgedField } from '../file-damage.ts'
import { damaged, fileDamage, forgedNumber } from '../file-damage.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refusalBy } from '../target.ts'
import { noise } from '../values.ts'

/** A snapshot file by its seed, and what was done to it. */
export interface SnapshotInput {
  readonly snapshot: number
  readonly forged: readonly ForgedField[]
  readonly damage: readonly FileDamage[]
  readonly name: string
}

const clusterId = 'orders'
const headerHeadBytes = 20
/** Where numbers stand in the part of a header that the checksum covers: the place and the width. */
const headerNumbers: ReadonlyArray<readonly [at: number, width: number]> =
  [[0, 4], [4, 4], [16, 8], [24, 8], [32, 8], [40, 4], [44, 2], [52, 4]]
const endNumbers: ReadonlyArray<readonly [at: number, width: number]> = [[0, 8], [8, 8], [16, 4]]

interface BuiltSnapshot {
  readonly name: string
  readonly content: Buffer
  readonly data: Buffer
}

/** Of a snapshot, but not of the one in the file. */
const otherName = `snapshot-${'9'.repeat(16)}-${'9'.repeat(16)}`

/** Builds a snapshot file. Part 0 is its header, part 1 its end, the others its chunks. */
function buildSnapshot (seed: number, forged: readonly ForgedField[]): BuiltSnapshot {
  const random = new SimRandom(seed, 'snapshot')
  const index = random.between(1, 100)
  const term = random.between(1, 9)
  const chunkBytes = random.pick([64, 100])
  const data = Buffer.from(noise(random, 400))
  const forge = (part: number, body: Buffer): void => {
    for (const field of forged) if (field.part === part) body.set(withBytes(body, field.at, field.bytes))
  }
  const configuration = Buffer.from('{"index":1,"configuration":{}}')
  const { bytes: header } =
    encodeSnapshotHeader({ index: asIndex(index), term: asTerm(term), timeMs: 5, configuration }, clusterId, chunkBytes)
  header.fill(seed % 251, headerHeadBytes, headerHeadBytes + 8)
  forge(0, header.subarray(12))
  const headerSeed = crc32(header.subarray(12))
  header.writeUInt32BE(headerSeed, 8)
  const chunks: Buffer[] = []
  for (let at = 0; at < data.length; at += chunkBytes) {
    const chunk = Buffer.concat([Buffer.alloc(chunkHeadBytes), data.subarray(at, at + chunkBytes)])
    sealChunk(chunk, chunks.length, headerSeed)
    forge(2 + chunks.length, chunk)
    chunks.push(chunk)
  }
  const end = encodeSnapshotEnd(data.length, crc32(data), headerSeed)
  forge(1, end.subarray(0, 20))
  end.writeUInt32BE(crc32(end.subarray(0, 20), headerSeed), 20)
  const digits = (value: number): string => String(value).padStart(16, '0')
  return { name: `snapshot-${digits(index)}-${digits(term)}`, content: Buffer.concat([header, ...chunks, end]), data }
}

class FuzzedSnapshots implements Fuzzed<SnapshotInput> {
  make (random: SimRandom): SnapshotInput {
    const snapshot = random.between(0, 2 ** 31)
    const { name, content } = buildSnapshot(snapshot, [])
    const kind = random.pick(['none', 'forged', 'forged', 'damage', 'damage', 'name'] as const)
    const parts = [[0, headerNumbers], [0, headerNumbers], [1, endNumbers], [2, [[4, 4]]]] as const
    const [part, numbers] = random.pick(parts)
    const [at, width] = random.pick<readonly [number, number]>(numbers)
    const start = part === 0 ? content.subarray(12) : part === 1 ? content.subarray(-24) : content
    return {
      snapshot,
      forged: kind === 'forged' ? [{ part, at, bytes: forgedNumber(random, start, at, width) }] : [],
      damage: kind === 'damage'
        ? Array.from({ length: random.between(1, 2) }, () => fileDamage(random, 0, content, content.length))
        : [],
      name: kind === 'name'
        ? random.pick([`${name}.new`, `${name}x`, name.replace(/\d$/, 'x'), '../evil', 'notes', otherName])
        : name
    }
  }

  async run ({ snapshot, forged, damage, name }: SnapshotInput): Promise<Outcome> {
    const { content, data } = buildSnapshot(snapshot, forged)
    let left: Uint8Array | null = content
    for (const one of damage) left = left === null ? null : damaged(left, one)
    const disk = new SimulatedDisk(randomFrom(1))
    await disk.files.makeDirectory(`${disk.directory}/snapshots`)
    if (left !== null) {
      const file = await disk.files.createNew(`${disk.directory}/snapshots/${name.replaceAll('/', '_')}`)
      await writeFully(file, left, 0)
      await file.sync()
    }
    const store = new FileSnapshotStore({ directory: disk.directory, clusterId }, disk.files)
    let info: SnapshotInfo | null
    let read: Buffer
    try {
      await store.open()
      info = store.latest()
      if (info === null) return accepted('no snapshot')
      read = await wholeOf(store.read(info))
    } catch (error) {
      return refusalBy(error)
    }
    if (read.length !== info.bytes || crc32(read) !== info.checksum || (forged.length === 0 && !read.equals(data))) {
      throw new BrokenRule('a snapshot that opens is the one that was written', JSON.stringify(info))
    }
    return accepted(forged.length > 0 ? 'forged snapshot' : 'snapshot')
  }

  async close (): Promise<void> {}
}

/** Snapshot files that are opened by the store of a node. */
export const snapshotFiles: Target<SnapshotInput> = {
  name: 'snapshot-files',
  share: 6,
  open: async () => new FuzzedSnapshots()
}
