const segmentPattern = /^wal-(\d{16})$/
const asidePattern = /^wal-\d{16}\.torn-\d+(-\d+)?$/

/** The segment under preparation; never holds anything that was acknowledged. */
export const spareName = 'wal-spare'

/** The one file of the format before segments, which was never released. */
export const oldLogName = 'raft.log'

/** Where the snapshots are, within a data directory. */
export const snapshotsName = 'snapshots'

/** The name of the segment with this id. */
export function segmentName (id: number): string {
  return `wal-${String(id).padStart(16, '0')}`
}

/** The id of a segment by its name, or null when it is not one. */
export function segmentId (name: string): number | null {
  const digits = segmentPattern.exec(name)?.[1]
  return digits === undefined ? null : Number(digits)
}

/** Whether this is the name of a torn tail that was saved aside. */
export function isAside (name: string): boolean {
  return asidePattern.test(name)
}
