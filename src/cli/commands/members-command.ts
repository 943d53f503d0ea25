import type { LeaderInfo, Membership } from '../../plugin/index.ts'
import type { MembersSettings } from '../flags/admin-arguments.ts'
import type { Print } from '../terminal/timeline.ts'
import { adminRequest } from './admin-request.ts'

/** Lists or changes the members of a cluster, and prints who belongs then. Rejects with a `PlainError`. */
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
