import type { Logger } from '../runtime/logger.ts'
import { ExpiryWarning } from './expiry-warning.ts'
import { readTextFile } from './text-file.ts'
import type {
  CertificateUse,
  ExpectedName,
  TlsFault,
  TlsMaterial,
  TlsPart,
  TlsReading,
  TlsSource,
  TlsTexts
} from './tls-material.ts'
import { readTlsMaterial } from './tls-material.ts'
import { WatchedFiles } from './watched-files.ts'

/** Some hundred certificates of authorities. */
const maxFileBytes = 1_048_576

/** Where each part comes from, and whom the certificate is to name; null: anybody. */
export interface TlsInputs {
  readonly texts: TlsTexts
  /** Paths of files, by the part that is in them. */
  readonly files: TlsTexts
  readonly expected: ExpectedName | null
  /** Left out: members. */
  readonly use?: CertificateUse
}

const parts: readonly TlsPart[] = ['ca', 'cert', 'key']

/** Reads the files, and checks what they and the texts hold. Names every fault, and the file where it is in one. */
export function readTlsInputs ({ texts, files, expected, use }: TlsInputs): TlsReading {
  const all: { [part in TlsPart]?: string | undefined } = { ...texts }
  const unread = new Map<TlsPart, string>()
  for (const part of parts) {
    const path = files[part]
    if (path === undefined) continue
    const file = readTextFile(path, { maxBytes: maxFileBytes, isPrivate: part === 'key' })
    if (file.kind === 'text') all[part] = file.text
    else unread.set(part, file.message)
  }
  const reading = readTlsMaterial(all, expected, Date.now(), use)
  if (reading.kind === 'material' && unread.size === 0) return reading
  const found = reading.kind === 'faults' ? reading.faults : []
  return {
    kind: 'faults',
    faults: [
      ...[...unread].map(([part, message]) => ({ part, message })),
      // What is missing only because its file could not be read is not named twice.
      ...found.filter(({ part }) => !unread.has(part)).map(({ part, message }) => withPath(part, files[part], message))
    ]
  }
}

function withPath (part: TlsPart, path: string | undefined, message: string): TlsFault {
  return { part, message: path === undefined ? message : `${path} ${message}` }
}

/** Told what counts from now on, and what counted before. */
type RenewalListener = (material: TlsMaterial, before: TlsMaterial) => void

/**
 * What this process trusts and shows over TLS. Files are read again when they change. A certificate that is about to
 * expire is warned of.
 */
export class OwnTls extends WatchedFiles<TlsMaterial> implements TlsSource {
  readonly #expiry: ExpiryWarning
  readonly #listeners: RenewalListener[] = []

  /** The first reading has been made, by {@link readTlsInputs}. */
  constructor (inputs: TlsInputs, current: TlsMaterial, logger: Logger) {
    super({
      paths: parts.flatMap((part) => inputs.files[part] ?? []),
      current,
      read: () => {
        const reading = readTlsInputs(inputs)
        if (reading.kind === 'material') return { kind: 'content', content: reading.material }
        const reason = reading.faults.map(({ part, message }) => `${part}: ${message}`).join('; ')
        return { kind: 'fault', details: { reason } }
      },
      settle: (read, before) => isSame(read, before) ? before : read,
      describe: ({ own }) => ({ validTo: own?.certificate.validTo }),
      messages: {
        unusable: 'the certificate files cannot be used: what was in them before goes on',
        readAgain: 'the certificate files were read again'
      },
      logger
    })
    this.#expiry = new ExpiryWarning(this, logger)
  }

  /** Calls the listener after each change. */
  onRenewed (listener: RenewalListener): void {
    this.#listeners.push(listener)
  }

  override close (): void {
    super.close()
    this.#expiry.close()
  }

  protected override renewed (material: TlsMaterial, before: TlsMaterial): void {
    for (const listener of this.#listeners) listener(material, before)
  }
}

function isSame (one: TlsMaterial, other: TlsMaterial): boolean {
  return one.ca === other.ca && one.own?.cert === other.own?.cert && one.own?.key === other.own?.key
}
