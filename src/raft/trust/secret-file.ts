import type { Logger } from '../runtime/logger.ts'
import { FileWatch } from './file-watch.ts'
import type { KeptSecret, ReadSecrets } from './secret.ts'
import { readTextFile } from './text-file.ts'

/** Two secrets and room for comments would be far less. */
const maxFileBytes = 4_096

/** What {@link readSecretFile} found. */
type SecretFileReading<S> =
  | { readonly kind: 'secrets', readonly current: readonly S[] }
  | { readonly kind: 'fault', readonly message: string }

/**
 * Reads a file with one secret a line, the one to use first. A file that anybody on the machine may read is refused:
 * its secret is none.
 */
export function readSecretFile<S extends KeptSecret> (path: string, read: ReadSecrets<S>): SecretFileReading<S> {
  const file = readTextFile(path, { maxBytes: maxFileBytes, isPrivate: true })
  if (file.kind === 'fault') return file
  const lines = file.text.split('\n').map((line) => line.trim()).filter((line) => line !== '')
  if (lines.length === 0) return { kind: 'fault', message: `${path} is empty: write the secret into it` }
  const reading = read(lines)
  if (reading.kind === 'secrets') return reading
  const faults = reading.faults.map(({ position, message }) => `line ${position + 1} ${message}`)
  return { kind: 'fault', message: `${path}: ${faults.join('; ')}` }
}

/**
 * The secrets in a file, read again when it changes. What cannot be read then is logged and changes nothing: the
 * secrets of before go on.
 */
export class SecretFile<S extends KeptSecret> {
  #current: readonly S[]
  readonly #path: string
  readonly #read: ReadSecrets<S>
  readonly #logger: Logger
  readonly #watch: FileWatch

  /** The first reading has been made, by {@link readSecretFile}. */
  constructor (path: string, read: ReadSecrets<S>, current: readonly S[], logger: Logger) {
    this.#path = path
    this.#read = read
    this.#current = current
    this.#logger = logger
    this.#watch = new FileWatch({ paths: [path], changed: () => { this.#readAgain() }, logger })
  }

  get current (): readonly S[] {
    return this.#current
  }

  close (): void {
    this.#watch.close()
  }

  #readAgain (): void {
    const reading = readSecretFile(this.#path, this.#read)
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
