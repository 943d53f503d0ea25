import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { NotesCopy } from './support/notes-cluster.ts'
import { NotesCluster } from './support/notes-cluster.ts'
import { send } from './support/requests.ts'

const timeoutMs = 800
/** How long the leader is stopped: long enough for all deadlines, with time to spare. */
const frozenMs = 3_000

interface Given {
  readonly key: string
  readonly status: number
  readonly code: unknown
}

/** Starts a cluster whose forwarded requests are given up soon. */
async function startCluster (options: object): Promise<NotesCluster> {
  const cluster = await NotesCluster.start({ options: () => ({ ...options, forward: { timeoutMs } }) })
  onTestFinished(async () => { await cluster.stop() })
  return cluster
}

async function post ({ url }: NotesCopy, key: string, text = 'x'): Promise<Given> {
  const { status, text: body } = await send('POST', `${url}/notes/${key}`, { text })
  return { key, status, code: (JSON.parse(body) as { code?: unknown }).code }
}

/** Stops the leader, sends it requests over all followers until they are given up, and lets it go on. */
async function freezeUnderPosts (cluster: NotesCluster): Promise<readonly Given[]> {
  const leader = await cluster.leader()
  const followers = await cluster.followers()
  // Connections are open, and the followers have heard of the leader: as in daily work.
  for (const follower of followers) expect((await post(follower, `before-${follower.id}`)).status).toBe(200)
  const pid = leader.child.pid ?? 0
  process.kill(pid, 'SIGSTOP')
  const thaw = (): void => { process.kill(pid, 'SIGCONT') }
  onTestFinished(() => { if (leader.child.running) thaw() })
  const frozenAtMs = performance.now()
  const sent = followers.flatMap((follower) => ['a', 'b', 'c'].map(async (name) =>
    await post(follower, `${follower.id}-${name}`, name === 'c' ? 'x'.repeat(60_000) : 'x')))
  const given = await Promise.all(sent)
  await sleep(Math.max(0, frozenMs - (performance.now() - frozenAtMs)))
  thaw()
  return given
}

describe('posts that were given up while the leader was stopped', () => {
  it.each([
    ['for longer than elections take: another node leads', false, {}],
    ['and leads on afterwards', true, { electionTimeoutMinMs: 4_500, electionTimeoutMaxMs: 6_500 }]
  ])('%s, and they are not executed', { timeout: 120_000 }, async (_what, isSameTerm, options) => {
    const cluster = await startCluster(options)
    const { term: before } = await cluster.status(await cluster.leader()) ?? {}
    const given = await freezeUnderPosts(cluster)
    // What the stopped leader had read of the network before is served by then, or never.
    const leader = await cluster.leader()
    expect((await post(leader, 'afterwards')).status).toBe(200)
    await sleep(500)
    const unknown = given.filter(({ status }) => status === 504)
    expect(unknown.length).toBeGreaterThan(0)
    for (const { key, code } of unknown) {
      expect([key, code, await cluster.executed(key)]).toEqual([key, 'RAFT_OUTCOME_UNKNOWN', 0])
    }
    const { term } = await cluster.status(leader) ?? {}
    expect(term === before).toBe(isSameTerm)
  })
})
