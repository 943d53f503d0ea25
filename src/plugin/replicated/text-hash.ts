/**
 * FNV-1a with 32 bits (RFC 9923 section 5), over UTF-16 code units: the same on every node. Texts that differ little
 * have hashes that lie close together, so who spreads something by it mixes the bits once more.
 */
export function textHash (text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash
}
