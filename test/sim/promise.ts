/** A promise of the protocol that a run has broken. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise'
  readonly promise: string

  constructor (promise: string, detail: string) {
    super(`${promise}: ${detail}`)
    this.promise = promise
  }
}
