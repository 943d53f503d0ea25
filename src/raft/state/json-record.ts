/** The array that a record of a snapshot holds as JSON; null when it holds anything else. */
export function parseArray (record: Uint8Array): readonly unknown[] | null {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(record).toString('utf8'))
    return Array.isArray(parsed) ? parsed : null
  } catch {
    return null
  }
}
