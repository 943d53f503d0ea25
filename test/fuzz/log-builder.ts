import { crc32 } from 'node:zlib'
import type { Entry } from '../../src/raft/core/index.ts'
import { emptyHardState, wholeLog } from '../../src/raft/core/index.ts'
import type { LogPoint, RecoveredState, StorageIdentity } from '../../src/raft/storage/storage.ts'
import { changeBytes, encodeChange, endMark, endMarkBytes, groupHeadBytes, sealGroup } from '../../src/raft/storage/wal/group.ts'
import type { LogChange } from '../../src/raft/storage/wal/log-rules.ts'
import { recordHeadBytes } from '../../src/raft/storage/wal/records.ts'
import { usedBytes } from '../../src/raft/storage/wal/sectors.ts'
import { segmentName } from '../../src/raft/storage/wal/segment-file.ts'
import { encodeSegmentHeader } from '../../src/raft/storage/wal/segment-header.ts'
import { batch, configurationEntry, entry, hardState } from '../raft/storage/support/builders.ts'
import type { SimRandom } from '../sim/random.ts'
import { withBytes } from './bytes.ts'
import type { ForgedField } from './file-damage.ts'

/** The node that the logs belong to. */
export const logIdentity: StorageIdentity = { clusterId: 'orders', nodeId: 'n1' }

/** Segments are small, so that logs go through several. */
const segmentBytes = 4_096
/** Bytes of a segment's header before its payload, where the salt stands in that, and the part of fixed size. */
const headerHeadBytes = 20
const saltBytes = 8
const headerFields = [8, 16, 29, 37, 45, 53, 61, 69, 77] as const

/** Something in a log that has a checksum of its own: a header or a group. */
interface LogPart {
  /** The bytes that its checksum covers, and where numbers stand in them: the place and the width. */
  readonly body: Uint8Array
  readonly numbers: ReadonlyArray<readonly [at: number, width: number]>
}

/** A log on disk. */
export interface BuiltLog {
  readonly files: ReadonlyArray<{ readonly name: string, readonly content: Buffer, readonly used: number }>
  readonly parts: readonly LogPart[]
  /** What the log held after each of its groups, and first before all of them. */
  readonly states: readonly RecoveredState[]
}

interface Position {
  readonly base: LogPoint
  readonly last: LogPoint
  readonly state: RecoveredState
}

/** Builds a log, always the same one for the same chance. Forged fields are sealed as if they were right. */
export function buildLog (random: SimRandom, forged: readonly ForgedField[] = []): BuiltLog {
  const builder = new LogBuilder(forged)
  for (let segments = random.pick([1, 1, 2, 3]); segments > 0; segments--) {
    builder.startSegment()
    for (let groups = random.between(builder.isFirst ? 0 : 1, 5); groups > 0; groups--) builder.addGroup(random)
  }
  return builder.finish()
}

class LogBuilder {
  readonly #forged: readonly ForgedField[]
  readonly #files: Array<BuiltLog['files'][number]> = []
  readonly #parts: LogPart[] = []
  readonly #states: RecoveredState[] = [{ base: wholeLog, hardState: emptyHardState, entries: [] }]
  #position: Position = { base: wholeLog, last: wholeLog, state: this.#states[0] as RecoveredState }
  #segment = Buffer.alloc(0)
  #seed = 0
  #end = 0

  constructor (forged: readonly ForgedField[]) {
    this.#forged = forged
  }

  get isFirst (): boolean { return this.#files.length === 0 }

  startSegment (): void {
    const previous = this.#segment.length === 0 ? null : { seed: this.#seed, end: this.#end }
    this.#closeSegment()
    const { base, last, state } = this.#position
    const id = this.#files.length + 1
    const incarnation = 'a1'.repeat(8)
    const { bytes } = encodeSegmentHeader(
      { id, incarnation, segmentBytes, previous, base, last, hardState: state.hardState },
      logIdentity
    )
    bytes.fill(id, headerHeadBytes, headerHeadBytes + saltBytes)
    const numbers = headerFields.map((at) => [headerHeadBytes - 12 + at, 8] as const)
    // Everything behind the checksum: version, length, payload.
    this.#forge(bytes.subarray(12), [[0, 4], [4, 4], ...numbers])
    this.#seed = crc32(bytes.subarray(12))
    bytes.writeUInt32BE(this.#seed, 8)
    this.#segment = Buffer.alloc(segmentBytes)
    this.#end = bytes.copy(this.#segment)
  }

  addGroup (random: SimRandom): void {
    const changes = this.#changes(random)
    const bytes = groupHeadBytes + changes.reduce((sum, change) => sum + changeBytes(change), 0) + endMarkBytes
    if (this.#end + bytes > segmentBytes) return
    const group = Buffer.alloc(bytes)
    const view = new DataView(group.buffer, group.byteOffset, group.length)
    let end = groupHeadBytes
    const numbers: Array<readonly [number, number]> = []
    for (const change of changes) {
      const next = encodeChange(group, view, change, end)
      numbers.push(...recordNumbers(group, end, next))
      end = next
      this.#take(change)
    }
    group[end] = endMark
    this.#forge(group.subarray(groupHeadBytes), numbers.map(([at, width]) => [at - groupHeadBytes, width]))
    const place = { position: this.#end, openingId: 77, seed: this.#seed }
    sealGroup(group, view, place, crc32(group.subarray(groupHeadBytes)))
    this.#end += group.copy(this.#segment, this.#end)
    this.#states.push(this.#position.state)
  }

  finish (): BuiltLog {
    this.#closeSegment()
    return { files: this.#files, parts: this.#parts, states: this.#states }
  }

  #closeSegment (): void {
    if (this.#segment.length === 0) return
    const used = usedBytes(this.#segment)
    this.#files.push({ name: segmentName(this.#files.length + 1), content: this.#segment, used })
  }

  #forge (body: Buffer, numbers: LogPart['numbers']): void {
    const part = this.#parts.length
    this.#parts.push({ body: Uint8Array.from(body), numbers })
    for (const field of this.#forged) if (field.part === part) body.set(withBytes(body, field.at, field.bytes))
  }

  /** What a node may write next. */
  #changes (random: SimRandom): LogChange[] {
    const { base, state, last } = this.#position
    const committed = state.entries.filter(({ index }) => index <= state.hardState.commit)
    const compacted = random.chance(0.1) ? committed.at(0) : undefined
    if (compacted !== undefined && compacted.index > base.index) {
      const { index, term, timeMs } = compacted
      return [{ kind: 'compact', base: { index, term, timeMs } }]
    }
    const term = state.hardState.term + random.pick([0, 0, 1])
    const entries: Entry[] = Array.from({ length: random.between(0, 3) }, (_, at) => {
      const index = last.index + 1 + at
      if (random.chance(0.1)) return configurationEntry(index, term, 'n1', 'n2')
      return entry(index, term, 'x'.repeat(random.pick([0, 1, 20, 200])), random.chance(0.2) ? 'noop' : 'command')
    })
    const vote = random.chance(0.5) && term === state.hardState.term ? state.hardState.vote : 'n2'
    const isNew = term > state.hardState.term
    const commit = random.between(state.hardState.commit, last.index)
    const written = isNew || random.chance(0.3)
    return [{ kind: 'append', batch: batch(written ? hardState(term, isNew ? 'n2' : vote ?? 'n2', commit) : null, ...entries) }]
  }

  #take (change: LogChange): void {
    const { state } = this.#position
    if (change.kind === 'compact') {
      const entries = state.entries.filter(({ index }) => index > change.base.index)
      this.#position = { ...this.#position, base: change.base, state: { ...state, base: change.base, entries } }
    } else if (change.kind === 'append') {
      const { hardState: next, entries } = change.batch
      const { index, term, timeMs } = entries.at(-1) ?? this.#position.last
      this.#position = {
        ...this.#position,
        last: { index, term, timeMs },
        state: { ...state, hardState: next ?? state.hardState, entries: [...state.entries, ...entries] }
      }
    }
  }
}

/** Where numbers stand in the records between two places: type and length, and then numbers of eight bytes. */
function recordNumbers (group: Buffer, start: number, end: number): Array<readonly [number, number]> {
  const numbers: Array<readonly [number, number]> = []
  for (let at = start; at < end; at += recordHeadBytes + group.readUInt32BE(at + 1)) {
    const payloadAt = at + recordHeadBytes
    numbers.push([at, 1], [at + 1, 4], [payloadAt, 8], [payloadAt + 8, 8], [payloadAt + 16, 1])
    if (group.readUInt32BE(at + 1) >= 25) numbers.push([payloadAt + 16, 8], [payloadAt + 24, 1])
  }
  return numbers
}
