/** All bytes of a stream, each chunk copied as it comes: a producer may use its buffer again. */
export async function bytesOf (source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

/** The bytes as a stream of chunks of one size. */
export const streamOf = async function * (
  bytes: Uint8Array,
  chunkBytes = 65_536
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
}
