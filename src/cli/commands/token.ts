import { writeFile } from 'node:fs/promises'
import { makeToken, readTextFile, readToken } from '../../raft/internal.ts'
import type { TokenSettings } from '../flags/token.ts'
import { PlainError, type Print } from '../terminal/messages.ts'

/** A token is far shorter. */
const maxFileBytes = 4_096

/** Makes a token and prints it, or writes it to a file and prints its digest. Rejects with a {@link PlainError}. */
export async function runToken ({ file }: TokenSettings, print: Print): Promise<void> {
  if (file === null) {
    print(makeToken())
    return
  }
  try {
    await writeFile(file, `${makeToken()}\n`, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    const { code = String(cause) } = cause as NodeJS.ErrnoException
    if (code !== 'EEXIST') throw new PlainError(`${file} cannot be written (${code})`, { cause })
  }
  print(tokenIn(file).digest.toString('hex'))
}

/** The token in a file. Throws a {@link PlainError} that does not repeat it. */
export function tokenIn (file: string): { readonly text: string, readonly digest: Buffer } {
  const reading = readTextFile(file, { maxBytes: maxFileBytes, isPrivate: true })
  if (reading.kind === 'fault') throw new PlainError(reading.message)
  return checkedToken(reading.text.trim(), `the token in ${file}`)
}

/** A token that a node could know. Throws a {@link PlainError} that does not repeat it. */
export function checkedToken (text: string, name: string): { readonly text: string, readonly digest: Buffer } {
  const token = readToken(text)
  if (token.kind === 'fault') throw new PlainError(`${name} ${token.message}`)
  return { text, digest: token.digest }
}
