import type { Configuration, Entry } from './types.ts'

/** Bytes of a member besides its texts. */
const memberOverheadBytes = 64

/**
 * About how many bytes the content of an entry takes: exactly those of a command, nothing for a no-op. Every bound on
 * bytes in the core counts with this function, so that an entry adds as many bytes as it takes off later.
 */
export function entryBytes (entry: Entry): number {
  switch (entry.kind) {
    case 'command': return entry.data.byteLength
    case 'configuration': return configurationBytes(entry.configuration)
    case 'noop': return 0
  }
}

/** Sum of {@link entryBytes} over the entries. */
export function totalBytes (entries: readonly Entry[]): number {
  let total = 0
  for (const entry of entries) total += entryBytes(entry)
  return total
}

function configurationBytes ({ clusterUuid = '', members }: Configuration): number {
  let total = clusterUuid.length
  for (const { id, address, incarnation } of members) {
    // The id stands in the list of members, and in up to two of those of voters and learners.
    total += 3 * id.length + address.length + incarnation.length + memberOverheadBytes
  }
  return total
}
