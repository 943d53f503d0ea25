/** A failure whose message alone tells the person at the terminal what is wrong. */
export class PlainError extends Error {
  override readonly name = 'PlainError'
}
