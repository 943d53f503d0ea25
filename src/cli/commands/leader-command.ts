import type { LeaderInfo } from '../../plugin/index.ts'
import type { LeaderSettings } from '../flags/admin-arguments.ts'
import type { Print } from '../terminal/timeline.ts'
import { adminRequest } from './admin-request.ts'

/** Says who leads a cluster, or has leadership change hands. Rejects with a `PlainError`. */
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
