import type { SnapshotPoint } from '../core/index.ts'
import { SnapshotCorruptError } from '../errors.ts'
import { encodeConfiguration, toConfiguration } from '../runtime/entry-codec.ts'
import type { SnapshotMeta } from '../storage/snapshot-store.ts'

/** The configuration in the header of a snapshot file: JSON, with the index of its entry. */
export function toMeta ({ index, term, timeMs, held }: SnapshotPoint): SnapshotMeta {
  const configuration = Buffer.from(encodeConfiguration(held.configuration)).toString('latin1')
  return {
    index,
    term,
    timeMs,
    configuration: Buffer.from(`{"index":${held.index},"configuration":${configuration}}`, 'latin1')
  }
}

function parse (bytes: Uint8Array): { readonly index?: unknown, readonly configuration?: unknown } {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes).toString('latin1'))
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    return {}
  }
}

/** Reads back what {@link toMeta} wrote; throws `RAFT_SNAPSHOT_CORRUPT` for anything else. */
export function toPoint ({ index, term, timeMs, configuration: bytes }: SnapshotMeta): SnapshotPoint {
  const { index: heldIndex, configuration: value } = parse(bytes)
  const configuration = toConfiguration(value)
  if (
    configuration === null ||
    typeof heldIndex !== 'number' ||
    !Number.isSafeInteger(heldIndex) ||
    heldIndex < 0 ||
    heldIndex > index
  ) {
    throw new SnapshotCorruptError(`The snapshot through index ${index} has a malformed configuration.`)
  }
  return { index, term, timeMs, held: { index: heldIndex, configuration } }
}
