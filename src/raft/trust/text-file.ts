import { readFileSync, statSync } from 'node:fs'

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

/** Reads a file of options: a secret, a key, certificates. */
export function readTextFile (path: string, { maxBytes, isPrivate }: TextFileRules): TextFileReading {
  try {
    const { mode, size } = statSync(path)
    if (isPrivate && process.platform !== 'win32' && (mode & 0o004) !== 0) {
      return { kind: 'fault', message: `${path} can be read by everybody on this machine: chmod 600 it` }
    }
    if (size > maxBytes) return { kind: 'fault', message: `${path} has more than ${maxBytes} bytes` }
    return { kind: 'text', text: readFileSync(path, 'utf8') }
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException
    return { kind: 'fault', message: `${path} cannot be read (${code})` }
  }
}
