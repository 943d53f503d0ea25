import type { Logger } from '../runtime/logger.ts'
import type { KeptSecret, ReadSecrets } from './secret.ts'
import { readTextFile } from './text-file.ts'
import { WatchedFiles } from './watched-files.ts'

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

/** The secrets in a file, read again when it changes. */
export class SecretFile<S extends KeptSecret> extends WatchedFiles<readonly S[]> {
  /** The first reading has been made, by {@link readSecretFile}. */
  constructor (path: string, read: ReadSecrets<S>, current: readonly S[], logger: Logger) {
    super({
      paths: [path],
      current,
      read: () => {
        const reading = readSecretFile(path, read)
        return reading.kind === 'secrets'
          ? { kind: 'content', content: reading.current }
          : { kind: 'fault', details: { reason: reading.message } }
      },
      settle: sameObjects,
      describe: (secrets) => ({ secrets: secrets.map(({ fingerprint }) => fingerprint) }),
      messages: {
        unusable: 'the secret file cannot be used: the secrets of before go on',
        readAgain: 'the secret file was read again'
      },
      logger
    })
  }
}

/** The same secret stays the same object: its sessions go on. */
function sameObjects<S extends KeptSecret> (read: readonly S[], before: readonly S[]): readonly S[] {
  const kept = read.map((secret) => before.find(({ fingerprint }) => fingerprint === secret.fingerprint) ?? secret)
  const isSame = kept.length === before.length && kept.every((secret, index) => secret === before[index])
  return isSame ? before : kept
}
