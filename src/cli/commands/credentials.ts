import type { Fault } from '../../gateway/internal.ts'
import { checkAdminHeaders } from '../../gateway/internal.ts'
import { type CredentialSettings, tokenVariable } from '../flags/credentials.ts'
import { PlainError } from '../terminal/messages.ts'
import { checkedToken, tokenIn } from './token.ts'

/** The header fields that show credentials to a node. Throws a {@link PlainError} that repeats none of them. */
export function headersOf ({ tokenFile, token, adminHeaders }: CredentialSettings): Record<string, string> {
  const faults: Fault[] = []
  if (adminHeaders !== null) checkAdminHeaders(adminHeaders, faults)
  const [fault] = faults
  if (fault !== undefined) throw new PlainError(`--admin-header: ${fault.path} ${fault.message}`)
  const shown = tokenFile === null ? checkedOrNull(token) : tokenIn(tokenFile).text
  return { ...adminHeaders, ...(shown === null ? {} : { authorization: `Bearer ${shown}` }) }
}

function checkedOrNull (token: string | null): string | null {
  return token === null ? null : checkedToken(token.trim(), tokenVariable).text
}
