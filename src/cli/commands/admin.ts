import type { LeaderInfo, Membership } from '../../plugin/index.ts'
import { defaults } from '../../raft/defaults.ts'
import type { LeaderSettings, MembersSettings } from '../flags/admin.ts'
import { PlainError, type Print } from '../terminal/messages.ts'

/** Longer than a node takes to give up and answer with the reason. */
const timeoutMs = 60_000

/** Lists or changes the members of a cluster and prints them. Rejects with a {@link PlainError}. */
export async function runMembers ({ node, action }: MembersSettings, print: Print): Promise<void> {
  const membership = await change(node, action)
  const { leader } = await adminRequest<{ readonly leader: LeaderInfo | null }>(node, 'GET', 'status')
  const width = Math.max(...membership.members.map(({ id }) => id.length))
  for (const { id, url, role } of membership.members) {
    print(`${id.padEnd(width)}  ${role.padEnd('learner'.length)}  ${url}${id === leader?.id ? '  leader' : ''}`)
  }
  print(`version ${membership.version}${membership.isSettled ? '' : ', a change is under way'}`)
}

async function change (node: string, action: MembersSettings['action']): Promise<Membership> {
  if (action.kind === 'list') return await adminRequest(node, 'GET', 'members')
  const condition = action.ifVersion === null ? {} : { ifVersion: action.ifVersion }
  const path = `members/${encodeURIComponent(action.id)}`
  switch (action.kind) {
    case 'add':
      return await adminRequest(node, 'POST', 'members', { id: action.id, url: action.url, ...condition })
    case 'set-url':
      return await adminRequest(node, 'POST', `${path}/url`, { url: action.url, ...condition })
    case 'promote':
    case 'demote':
      return await adminRequest(node, 'POST', `${path}/${action.kind}`, condition)
    case 'remove':
      return await adminRequest(
        node,
        'DELETE',
        action.ifVersion === null ? path : `${path}?ifVersion=${action.ifVersion}`
      )
  }
}

/** Prints the leader, transfers leadership or makes the leader step down. Rejects with a {@link PlainError}. */
export async function runLeader ({ node, action }: LeaderSettings, print: Print): Promise<void> {
  if (action.kind === 'step-down') {
    const { nodeId, term } = await adminRequest<{ readonly nodeId: string; readonly term: number }>(
      node,
      'POST',
      'leader/step-down'
    )
    print(`${nodeId} led in term ${term} and has stepped down`)
    return
  }
  const { id, url, term } = action.kind === 'show'
    ? await adminRequest<LeaderInfo>(node, 'GET', 'leader')
    : await adminRequest<LeaderInfo>(node, 'POST', 'leader/transfer', action.to === null ? {} : { to: action.to })
  print(`${id} at ${url} leads in term ${term}`)
}

/**
 * Calls an admin route of a node and resolves with its JSON answer, whose shape the caller states. Rejects with a
 * {@link PlainError}; when the node refuses, that has its message and code.
 */
export async function adminRequest<T> (
  node: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body: object | null = null
): Promise<T> {
  const { ok, status, text } = await send(`${node}${defaults.prefix}/v1/${path}`, method, body)
  const answer = parse(text)
  if (ok && answer !== null) return answer as T
  const { code, message } = (answer ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (typeof code !== 'string' || typeof message !== 'string') {
    throw new PlainError(`${node} answered ${status}, and not as a node of a cluster does`)
  }
  throw new PlainError(`${message} (${code})`)
}

async function send (
  url: string,
  method: string,
  body: object | null
): Promise<{ readonly ok: boolean; readonly status: number; readonly text: string }> {
  try {
    const response = await fetch(url, {
      method,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === null ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
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
