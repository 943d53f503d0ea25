import { InvalidOptionsError, TooLargeError } from '../../raft/index.ts'
import { jsonFault } from '../replicated/json-value.ts'
import { limits } from '../replicated/limits.ts'
import { byteLength, isKey } from '../replicated/validate.ts'

/** Throws `RAFT_INVALID_OPTIONS` or `RAFT_TOO_LARGE` for what is no key. */
export function checkKey (key: string): void {
  if (!isKey(key)) throw new InvalidOptionsError('a key is a string of at least one character')
  if (byteLength(key) > limits.maxKeyBytes) {
    throw new TooLargeError(`The key is larger than ${limits.maxKeyBytes} bytes`)
  }
}

/** Throws `RAFT_INVALID_OPTIONS`, with the place of the fault, or `RAFT_TOO_LARGE` for what is no value. */
export function checkValue (value: unknown): void {
  const fault = jsonFault(value, { maxDepth: limits.maxValueDepth })
  if (fault?.reason === 'too-deep') {
    throw new TooLargeError(`The value nests deeper than ${limits.maxValueDepth} levels`)
  }
  if (fault !== null) throw new InvalidOptionsError(`the value is not JSON: ${fault.message}`)
  if (byteLength(JSON.stringify(value)) > limits.maxValueBytes) {
    throw new TooLargeError(`The value is larger than ${limits.maxValueBytes} bytes`)
  }
}
