/** The array that a record of a snapshot holds as JSON; null when it holds anything else. */
export function parseArray (text: string): readonly unknown[] | null {
  try {
    const parsed: unknown = JSON.parse(text)
    return Array.isArray(parsed) ? parsed : null
  } catch {
    return null
  }
}
