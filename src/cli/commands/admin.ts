import type { buildConnector } from 'undici'
import { Agent, fetch } from 'undici'
import type { TlsOptions } from '../../gateway/index.ts'
import type { Fault } from '../../gateway/internal.ts'
import { readTls } from '../../gateway/internal.ts'
import type { LeaderInfo, Membership } from '../../plugin/index.ts'
import { connectOptions, defaults } from '../../raft/internal.ts'
import type { AdminTarget, LeaderSettings, MembersSettings } from '../flags/admin.ts'
import { PlainError, type Print } from '../terminal/messages.ts'
import { headersOf } from './credentials.ts'

/** Longer than a node takes to give up and answer with the reason. */
const timeoutMs = 60_000
const connectTimeoutMs = 10_000

/** Lists or changes the members of a cluster and prints them. Rejects with a {@link PlainError}. */
export async function runMembers ({ action, ...target }: MembersSettings, print: Print): Promise<void> {
  const membership = await change(target, action)
  const { leader } = await adminRequest<{ readonly leader: LeaderInfo | null }>(target, 'GET', 'status')
  const width = Math.max(...membership.members.map(({ id }) => id.length))
  for (const { id, url, role } of membership.members) {
    print(`${id.padEnd(width)}  ${role.padEnd('learner'.length)}  ${url}${id === leader?.id ? '  leader' : ''}`)
  }
  print(`version ${membership.version}${membership.isSettled ? '' : ', a change is under way'}`)
}

async function change (target: AdminTarget, action: MembersSettings['action']): Promise<Membership> {
  if (action.kind === 'list') return await adminRequest(target, 'GET', 'members')
  const condition = action.ifVersion === null ? {} : { ifVersion: action.ifVersion }
  const path = `members/${encodeURIComponent(action.id)}`
  switch (action.kind) {
    case 'add':
      return await adminRequest(target, 'POST', 'members', { id: action.id, url: action.url, ...condition })
    case 'set-url':
      return await adminRequest(target, 'POST', `${path}/url`, { url: action.url, ...condition })
    case 'promote':
    case 'demote':
      return await adminRequest(target, 'POST', `${path}/${action.kind}`, condition)
    case 'remove':
      return await adminRequest(
        target,
        'DELETE',
        action.ifVersion === null ? path : `${path}?ifVersion=${action.ifVersion}`
      )
  }
}

/** Prints the leader, transfers leadership or makes the leader step down. Rejects with a {@link PlainError}. */
export async function runLeader ({ action, ...target }: LeaderSettings, print: Print): Promise<void> {
  if (action.kind === 'step-down') {
    const { nodeId, term } = await adminRequest<{ readonly nodeId: string; readonly term: number }>(
      target,
      'POST',
      'leader/step-down'
    )
    print(`${nodeId} led in term ${term} and has stepped down`)
    return
  }
  const { id, url, term } = action.kind === 'show'
    ? await adminRequest<LeaderInfo>(target, 'GET', 'leader')
    : await adminRequest<LeaderInfo>(target, 'POST', 'leader/transfer', action.to === null ? {} : { to: action.to })
  print(`${id} at ${url} leads in term ${term}`)
}

/** How an admin route is called. */
interface AdminRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: object | null
  readonly tls: TlsOptions | null
}

/**
 * Calls an admin route of a node and resolves with its JSON answer, whose shape the caller states. Rejects with a
 * {@link PlainError}; when the node refuses, that has its message and code.
 */
export async function adminRequest<T> (
  { node, tls, credentials }: AdminTarget,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body: object | null = null
): Promise<T> {
  const headers = headersOf(credentials)
  const { ok, status, text } = await send(`${node}${defaults.prefix}/v1/${path}`, { method, headers, body, tls })
  const answer = parse(text)
  if (ok && answer !== null) return answer as T
  const { code, message } = (answer ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (typeof code !== 'string' || typeof message !== 'string') {
    throw new PlainError(`${node} answered ${status}, and not as a node of a cluster does`)
  }
  const wayOut = status === 401 ? '. Show a token of this cluster with --token-file or CLUSTER_TOKEN' : ''
  throw new PlainError(`${message} (${code})${wayOut}`)
}

async function send (
  url: string,
  { method, headers, body, tls }: AdminRequest
): Promise<{ readonly ok: boolean; readonly status: number; readonly text: string }> {
  const dispatcher = new Agent({ connect: connectOf(tls), allowH2: false })
  try {
    const response = await fetch(url, {
      dispatcher,
      method,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === null
        ? { headers }
        : { headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) })
    })
    return { ok: response.ok, status: response.status, text: await response.text() }
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
    const message = reason instanceof Error ? reason.message : String(reason)
    throw new PlainError(`${new URL(url).origin} does not answer: ${message}${authorityHint(reason)}`, { cause })
  } finally {
    await dispatcher.destroy()
  }
}

/** Codes that OpenSSL's verification ends with when the authority of a certificate is not known. */
const unknownAuthorityCodes: readonly unknown[] = [
  'SELF_SIGNED_CERT_IN_CHAIN', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'
]

function authorityHint (reason: unknown): string {
  const isUnknown = reason instanceof Error && 'code' in reason && unknownAuthorityCodes.includes(reason.code)
  return isUnknown ? '. Name the authority of its certificate with --tls-ca-file' : ''
}

/** How the node is called over https. Throws a {@link PlainError} with every fault of the files. */
function connectOf (tls: TlsOptions | null): buildConnector.BuildOptions {
  const faults: Fault[] = []
  const { material } = readTls(tls ?? {}, null, faults)
  if (faults.length > 0) throw new PlainError(faults.map(({ path, message }) => `${path} ${message}`).join('; '))
  return connectOptions(connectTimeoutMs, material, null)
}

function parse (text: string): object | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? value : null
  } catch {
    return null
  }
}
