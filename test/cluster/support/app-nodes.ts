import { join } from 'node:path'
import { Child } from '../../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { freePorts } from '../../../src/cli/local/ports.ts'

/** A copy of an application in a process of its own. */
export interface AppNode {
  readonly id: string
  readonly url: string
  readonly child: Child
}

/** Where a program of `test/cluster/tools` is, as `npm run build:tools` leaves it, and what the nodes share. */
export interface AppNodesOptions {
  readonly program: string
  readonly count: number
  readonly directory: string
  /** Arguments of each node after `--id`, `--members` and `--data-dir`. */
  readonly more: (id: string) => readonly string[]
}

/** What may happen to a node. */
export type NodeFault = 'kill' | 'stop' | 'transfer' | 'restart'

const recoveryMs = 60_000

/** Nodes of one cluster, none of them started. */
export async function createNodes ({ program, count, directory, more }: AppNodesOptions): Promise<readonly AppNode[]> {
  const ports = await freePorts(count)
  const members = ports.map((port, at) => ({ id: `n${at + 1}`, url: `http://127.0.0.1:${port}` }))
  const list = members.map(({ id, url }) => `${id}=${url}`).join(',')
  return members.map(({ id, url }) => {
    const args = [program, '--id', id, '--members', list, '--data-dir', join(directory, id), ...more(id)]
    return { id, url, child: new Child({ name: id, args, logFile: join(directory, `${id}.log`) }) }
  })
}

/** Waits for a leader that all nodes follow. */
export async function leaderOf (
  nodes: readonly AppNode[]
): Promise<{ readonly node: AppNode, readonly term: number }> {
  return await pollUntil('a leader that all nodes follow', recoveryMs, async () => {
    const statuses = await Promise.all(nodes.map(async ({ url }) =>
      await getJson<{ leader: { id: string } | null, term: number }>(`${url}/_cluster/v1/status`, 1_000)))
    const [first] = statuses
    const isWhole = statuses.every((status) => status?.leader != null && status.leader.id === first?.leader?.id)
    const node = nodes.find(({ id }) => id === first?.leader?.id)
    return isWhole && node !== undefined ? { node, term: first?.term ?? 0 } : null
  })
}

/** Asks for something whose answer does not matter: a fault that does not happen is none. */
export async function post (url: string, timeoutMs = 5_000): Promise<void> {
  try {
    const headers = { 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: '{}', signal: AbortSignal.timeout(timeoutMs) }
    await (await fetch(url, init)).arrayBuffer()
  } catch (error) {
    process.stderr.write(`${url}: ${String(error)}\n`)
  }
}

/** Ends all nodes at once, also those that are stopped. */
export async function killNodes (nodes: readonly AppNode[]): Promise<void> {
  for (const { child } of nodes) child.signal('SIGCONT')
  await Promise.all(nodes.map(async ({ child }) => { await child.kill('SIGKILL') }))
}
