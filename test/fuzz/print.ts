/** An input as JSON; bytes stand as `{ "hex": "00ff" }`, numbers that JSON lacks as `{ "number": "NaN" }`. */
export function printInput (input: unknown): string {
  return JSON.stringify(input, (_key, value: unknown) => {
    // Buffers come as what their toJSON makes of them.
    if (isBufferJson(value)) return { hex: Buffer.from(value.data).toString('hex') }
    if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString('hex') }
    if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) {
      return { number: Object.is(value, -0) ? '-0' : String(value) }
    }
    return value
  })
}

/** Reads what {@link printInput} wrote. */
export function parseInput (text: string): unknown {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || Object.keys(value).length !== 1) return value
    if ('hex' in value) return Uint8Array.from(Buffer.from(String(value.hex), 'hex'))
    return 'number' in value ? Number(value.number) : value
  })
}

function isBufferJson (value: unknown): value is { readonly data: readonly number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer' && 'data' in value
}
