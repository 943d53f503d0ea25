/** Number of single-character edits between two texts (Levenshtein distance). */
function distance (left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, column) => column)
  for (let line = 1; line <= left.length; line++) {
    const next = [line]
    for (let column = 1; column <= right.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (left[line - 1] === right[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[right.length] ?? 0
}

/** The known name that somebody most likely meant, or null when none comes close. */
export function nearestName (name: string, known: readonly string[]): string | null {
  if (name.length > 64) return null
  let nearest: string | null = null
  let best = Math.max(2, Math.floor(name.length / 2)) + 1
  for (const candidate of known) {
    const edits = distance(name.toLowerCase(), candidate.toLowerCase())
    if (edits < best) {
      best = edits
      nearest = candidate
    }
  }
  return nearest
}
