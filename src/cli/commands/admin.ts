import type { LeaderInfo, Membership } from '../../plugin/index.ts'
import { defaults } from '../../raft/defaults.ts'
import type { LeaderSettings, MembersSettings } from '../flags/admin.ts'
import { PlainError, type Print } from '../terminal/messages.ts'
import { headersOf } from './credentials.ts'

/** Longer than a node takes to give up and answer with the reason. */
const timeoutMs = 60_000

/** Lists or changes the members of a cluster and prints them. Rejects with a {@link PlainError}. */
export async function runMembers ({ node, credentials, action }: MembersSettings, print: Print): Promise<void> {
  const target = { node, headers: headersOf(credentials) }
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
export async function runLeader ({ node, credentials, action }: LeaderSettings, print: Print): Promise<void> {
  const target = { node, headers: headersOf(credentials) }
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

/** The node to call, and the header fields to show to it. */
interface AdminTarget {
  readonly node: string
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Calls an admin route of a node and resolves with its JSON answer, whose shape the caller states. Rejects with a
 * {@link PlainError}; when the node refuses, that has its message and code.
 */
export async function adminRequest<T> (
  { node, headers }: AdminTarget,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body: object | null = null
): Promise<T> {
  const { ok, status, text } = await send(`${node}${defaults.prefix}/v1/${path}`, method, headers, body)
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
  method: string,
  headers: AdminTarget['headers'],
  body: object | null
): Promise<{ readonly ok: boolean; readonly status: number; readonly text: string }> {
  try {
    const response = await fetch(url, {
      method,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === null
        ? { headers }
        : { headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) })
    })
    return { ok: response.ok, status: response.status, text: await response.text() }
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause)
    throw new PlainError(`${new URL(url).origin} does not answer: ${reason}`, { cause })
  }
}

function parse (text: string): object | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? value : null
  } catch {
    return null
  }
}
