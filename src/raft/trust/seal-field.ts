import { macBytes } from './seal.ts'

/** The field that carries the seal of a peer's request or answer. */
export const sealField = 'raft-seal'

/** What the field of a request claims. */
interface SealClaim {
  readonly sessionId: string
  readonly counter: number
  readonly mac: Buffer
}

const macText = new RegExp(`^[\\w-]{${Math.ceil(macBytes * 4 / 3)}}$`)
const claimText = /^([0-9a-f]{32}) ([1-9][0-9]{0,15}) ([\w-]+)$/

export function formatClaim (sessionId: string, counter: number, mac: Buffer): string {
  return `${sessionId} ${counter} ${formatMac(mac)}`
}

/** Null for anything that {@link formatClaim} does not make. */
export function parseClaim (field: unknown): SealClaim | null {
  const parts = typeof field === 'string' ? claimText.exec(field) : null
  const [, sessionId, counter, text] = parts ?? []
  const mac = parseMac(text)
  return sessionId === undefined || mac === null ? null : { sessionId, counter: Number(counter), mac }
}

export function formatMac (mac: Buffer): string {
  return mac.toString('base64url')
}

/** Null for anything that {@link formatMac} does not make. */
export function parseMac (field: unknown): Buffer | null {
  return typeof field === 'string' && macText.test(field) ? Buffer.from(field, 'base64url') : null
}
