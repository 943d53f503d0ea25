import { readFileSync, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Logger } from '../runtime/logger.ts'
import type { Secret, Secrets } from './secret.ts'
import { readSecrets } from './secret.ts'

/** How often the file is looked at, in milliseconds. */
const lookEveryMs = 1_000
/** Two secrets and room for comments would be far less. */
const maxFileBytes = 4_096

/** What {@link readSecretFile} found. */
type SecretFileReading =
  | { readonly kind: 'secrets', readonly current: readonly Secret[] }
  | { readonly kind: 'fault', readonly message: string }

/**
 * Reads a file with one secret a line, the one to use first. A file that anybody on the machine may read is refused:
 * its secret is none.
 */
export function readSecretFile (path: string): SecretFileReading {
  let text: string
  try {
    const { mode, size } = statSync(path)
    if (process.platform !== 'win32' && (mode & 0o004) !== 0) {
      return { kind: 'fault', message: `${path} can be read by everybody on this machine: chmod 600 it` }
    }
    if (size > maxFileBytes) return { kind: 'fault', message: `${path} has more than ${maxFileBytes} bytes` }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException
    return { kind: 'fault', message: `${path} cannot be read (${code})` }
  }
  const lines = text.split('\n').map((line) => line.trim()).filter((line) => line !== '')
  if (lines.length === 0) return { kind: 'fault', message: `${path} is empty: write the secret into it` }
  const reading = readSecrets(lines)
  if (reading.kind === 'secrets') return reading
  const faults = reading.faults.map(({ position, message }) => `line ${position + 1} ${message}`)
  return { kind: 'fault', message: `${path}: ${faults.join('; ')}` }
}

/**
 * The secrets in a file, read again when it changes. What cannot be read then is logged and changes nothing: the
 * secrets of before go on. The file is looked at rather than watched for events, so that it may be a link that moves,
 * as Kubernetes makes them.
 */
export class SecretFile implements Secrets {
  #current: readonly Secret[]
  readonly #path: string
  readonly #logger: Logger
  readonly #timer: NodeJS.Timeout
  /** What told the file from another one when it was read last; empty at first: the first look reads it once more. */
  #seen = ''

  /** The first reading has been made, by {@link readSecretFile}. */
  constructor (path: string, current: readonly Secret[], logger: Logger) {
    this.#path = path
    this.#current = current
    this.#logger = logger
    this.#timer = setInterval(() => { this.#look() }, lookEveryMs)
    this.#timer.unref()
  }

  get current (): readonly Secret[] {
    return this.#current
  }

  close (): void {
    clearInterval(this.#timer)
  }

  #look (): void {
    stat(this.#path, { bigint: true }).then(
      ({ ino, size, mtimeNs, ctimeNs }) => [ino, size, mtimeNs, ctimeNs].join(),
      () => 'unreadable'
    ).then((seen) => {
      if (seen === this.#seen) return
      this.#seen = seen
      this.#readAgain()
    }).catch((err: unknown) => { this.#logger.error({ err }, 'looking at the secret file failed') })
  }

  #readAgain (): void {
    const reading = readSecretFile(this.#path)
    if (reading.kind === 'fault') {
      this.#logger.error({ reason: reading.message }, 'the secret file cannot be used: the secrets of before go on')
      return
    }
    const before = this.#current
    // The same secret stays the same object: its sessions go on.
    const current = reading.current.map((read) =>
      before.find((known) => known.fingerprint === read.fingerprint) ?? read)
    if (current.length === before.length && current.every((secret, index) => secret === before[index])) return
    this.#current = current
    this.#logger.info({ secrets: current.map(({ fingerprint }) => fingerprint) }, 'the secret file was read again')
  }
}
