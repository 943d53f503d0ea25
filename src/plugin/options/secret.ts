import type { Fault } from '../../gateway/internal.ts'
import type { Secret } from '../../raft/index.ts'
import { readSecrets } from '../../raft/index.ts'
import { readSecretFile } from '../../raft/internal.ts'

/** The secrets as they were read, and the file to read them from again. */
export interface ResolvedSecret {
  /** At least one. */
  readonly current: readonly Secret[]
  readonly file: string | null
}

/** The options that name the secret. */
interface SecretOptions {
  readonly secret?: string | readonly string[]
  readonly secretFile?: string
}

/** Reads the secret from the options or its file; null when there is none, or when a fault was found. */
export function readSecretOptions ({ secret, secretFile }: SecretOptions, faults: Fault[]): ResolvedSecret | null {
  if (secret !== undefined && secretFile !== undefined) {
    faults.push({ path: 'secretFile', message: 'must not be given together with secret' })
    return null
  }
  if (secretFile !== undefined) {
    const reading = readSecretFile(secretFile)
    if (reading.kind === 'secrets') return { current: reading.current, file: secretFile }
    faults.push({ path: 'secretFile', message: reading.message })
    return null
  }
  if (secret === undefined) return null
  const reading = readSecrets([secret].flat())
  if (reading.kind === 'secrets') return { current: reading.current, file: null }
  for (const { position, message } of reading.faults) {
    faults.push({ path: typeof secret === 'string' ? 'secret' : `secret[${position}]`, message })
  }
  return null
}
