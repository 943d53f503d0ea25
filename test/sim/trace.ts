const hashes = new Map<string, number>()

/** Most texts come again and again. */
function hashOf (text: string): number {
  const known = hashes.get(text)
  if (known !== undefined) return known
  let hash = 0x811c9dc5
  for (let position = 0; position < text.length; position++) {
    hash = Math.imul(hash ^ text.charCodeAt(position), 0x01000193)
  }
  if (hashes.size < 10_000) hashes.set(text, hash)
  return hash
}

/** Hashes everything that happens in a run, and keeps its last lines when asked to. */
export class TraceRecorder {
  readonly #lines: string[] | null
  #low = 0x811c9dc5
  #high = 0x01000193

  constructor (keepLines: boolean) {
    this.#lines = keepLines ? [] : null
  }

  get hash (): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0')
  }

  get lines (): readonly string[] { return this.#lines ?? [] }

  note (atUs: number, parts: ReadonlyArray<string | number | null>): void {
    this.#mix(atUs)
    for (const part of parts) {
      if (typeof part === 'number') this.#mix(part)
      else if (part !== null) this.#mix(hashOf(part))
    }
    this.#lines?.push(`${(atUs / 1_000).toFixed(3)} ${parts.filter((part) => part !== null).join(' ')}`)
  }

  #mix (value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x01000193)
    this.#high = Math.imul(this.#high ^ (value + (this.#low >>> 7)), 0x85ebca6b)
  }
}
