import type { Logger } from '../../raft/index.ts'
import type { KeptSecret, ReadSecrets } from '../../raft/internal.ts'
import { readSecretFile, SecretFile } from '../../raft/internal.ts'
import { Type } from './schema.ts'
import type { Fault } from './schema-reader.ts'

/** The secrets as they were read, and the file to read them from again. */
export interface ResolvedSecret<S extends KeptSecret> {
  /** At least one. */
  readonly current: readonly S[]
  readonly file: string | null
}

/** The secrets of this process, as they are at the moment. */
export interface OpenSecrets<S extends KeptSecret> {
  readonly current: readonly S[]
  /** Ends the looks at their file. */
  readonly close: () => void
}

/** The options that name the secret. */
interface SecretOptions {
  readonly secret?: string | readonly string[]
  readonly secretFile?: string
}

/** Schemas of both options; {@link readSecretOptions} has the rules. `description`: of the secret itself. */
export function secretSchemas (description: string) {
  return {
    secret: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1, maxItems: 2 })], { description })
    ),
    secretFile: Type.Optional(
      Type.String({
        description:
          'File with the secret, or two, one a line, instead of `secret`. Read again when it changes. Nobody but its ' +
            'owner and group may be allowed to read it.',
        minLength: 1
      })
    )
  }
}

/** Reads the secret from the options or its file; null when there is none, or when a fault was found. */
export function readSecretOptions<S extends KeptSecret> (
  { secret, secretFile }: SecretOptions,
  read: ReadSecrets<S>,
  faults: Fault[]
): ResolvedSecret<S> | null {
  if (secret !== undefined && secretFile !== undefined) {
    faults.push({ path: 'secretFile', message: 'must not be given together with secret' })
    return null
  }
  if (secretFile !== undefined) {
    const reading = readSecretFile(secretFile, read)
    if (reading.kind === 'secrets') return { current: reading.current, file: secretFile }
    faults.push({ path: 'secretFile', message: reading.message })
    return null
  }
  if (secret === undefined) return null
  const reading = read([secret].flat())
  if (reading.kind === 'secrets') return { current: reading.current, file: null }
  for (const { position, message } of reading.faults) {
    faults.push({ path: typeof secret === 'string' ? 'secret' : `secret[${position}]`, message })
  }
  return null
}

/** Looks at the file of the secrets from now on, if they are in one. Null without a secret. */
export function openSecrets<S extends KeptSecret> (
  secret: ResolvedSecret<S> | null,
  read: ReadSecrets<S>,
  logger: Logger
): OpenSecrets<S> | null {
  if (secret === null) return null
  if (secret.file !== null) return new SecretFile(secret.file, read, secret.current, logger)
  return { current: secret.current, close: () => {} }
}
