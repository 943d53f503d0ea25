import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Digits of the largest token. With leading zeros the order of names is that of numbers. */
const digits = 16

/**
 * Writes a file, or an object of a store, under a fencing token. Each holder has a name of its own, and readers take
 * the one with the highest token, so that nobody reads what an earlier holder writes too late. One file a holder is
 * left behind; those below the highest may be removed at any time.
 */
export async function writeUnderToken (directory: string, name: string, token: string, content: string): Promise<void> {
  const path = join(directory, `${name}.${token.padStart(digits, '0')}`)
  // Under another name first: a reader sees all of it or nothing.
  await writeFile(`${path}.part`, content, { flush: true })
  await rename(`${path}.part`, path)
}

/** What the latest holder wrote last; null when nobody has written. */
export async function readLatest (directory: string, name: string): Promise<string | null> {
  const token = new RegExp(`^\\d{${digits}}$`)
  const files = (await readdir(directory))
    .filter((file) => file.startsWith(`${name}.`) && token.test(file.slice(name.length + 1)))
    .sort()
  const latest = files.at(-1)
  return latest === undefined ? null : await readFile(join(directory, latest), 'utf8')
}

/** The same without a fence, for comparison: whoever comes last wins. */
export async function writeUnfenced (directory: string, name: string, content: string): Promise<void> {
  await writeFile(join(directory, name), content)
}
