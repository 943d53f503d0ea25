import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

/** What {@link readTextFile} found. The fault names the file. */
type TextFileReading =
  | { readonly kind: 'text', readonly text: string }
  | { readonly kind: 'fault', readonly message: string }

/** What a file may be. */
interface TextFileRules {
  readonly maxBytes: number
  /** Refuses a file that anybody on the machine may read: what it keeps secret is none. */
  readonly isPrivate: boolean
}

/** A pipe without a writer would be waited for otherwise, and the whole process with it. */
const withoutWaiting = constants.O_RDONLY | (process.platform === 'win32' ? 0 : constants.O_NONBLOCK)

/** Reads a file of options: a secret, a key, certificates. Never waits: what is no regular file has a fault. */
export function readTextFile (path: string, rules: TextFileRules): TextFileReading {
  try {
    const file = openSync(path, withoutWaiting)
    try {
      return readOpened(file, path, rules)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException
    return { kind: 'fault', message: `${path} cannot be read (${code})` }
  }
}

function readOpened (file: number, path: string, { maxBytes, isPrivate }: TextFileRules): TextFileReading {
  const stats = fstatSync(file)
  if (!stats.isFile()) return { kind: 'fault', message: `${path} is no regular file` }
  if (isPrivate && process.platform !== 'win32' && (stats.mode & 0o004) !== 0) {
    return { kind: 'fault', message: `${path} can be read by everybody on this machine: chmod 600 it` }
  }
  if (stats.size > maxBytes) return { kind: 'fault', message: `${path} has more than ${maxBytes} bytes` }
  return { kind: 'text', text: readFileSync(file, 'utf8') }
}
