import type { IncomingMessage } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Forwarder } from '../../../src/gateway/forward/forwarder.ts'
import type { ForwarderOptions } from '../../../src/gateway/forward/types.ts'
import { deadUrl, FakeLeaders, FakeNode, leaderAt, startServer, unproven, until } from '../support/servers.ts'

const call = { method: 'POST', path: '/_cluster/v1/leader/step-down', body: {} } as const
const client = { rawHeaders: ['Authorization', 'me', 'Via', '1.1 proxy'], socket: {} } as unknown as IncomingMessage

function openForwarder (leaders: FakeLeaders, options: Partial<ForwarderOptions> = {}): Forwarder {
  const forwarder = new Forwarder({
    selfId: 'n1',
    leaders,
    viaName: 'n1.test',
    waitForLeaderMs: 1_000,
    timeoutMs: 5_000,
    maxWaiting: 1,
    ...unproven(),
    ...options
  })
  onTestFinished(async () => { await forwarder.close() })
  return forwarder
}

describe('a call for the leader', () => {
  it('waits for a leader in the queue of forwarded requests, is woken by it, and carries the client\'s fields', async () => {
    const fields: Array<string | undefined> = []
    const node = new FakeNode('n2', 7, (req, res) => {
      fields.push(req.headers.authorization, req.headers.via, req.headers['content-type'])
      res.end('{"done":true}')
    })
    const { url } = await startServer(node.listener)
    const leaders = new FakeLeaders(null)
    const forwarder = openForwarder(leaders)
    const outcome = forwarder.callLeader(client, call).next()
    await until(() => forwarder.stats().waiting === 1, 'the call waits')
    expect(await forwarder.callLeader(client, call).next()).toMatchObject({
      kind: 'refused',
      refusal: { statusCode: 503, code: 'RAFT_BUSY' }
    })
    leaders.set(leaderAt(url))
    expect(await outcome).toMatchObject({ kind: 'answered', answer: { statusCode: 200, text: '{"done":true}' } })
    expect(node.executed).toEqual(['POST /_cluster/v1/leader/step-down'])
    expect(fields).toEqual(['me', undefined, 'application/json'])
  })

  it('goes to the next leader when the first refuses it or cannot be reached', async () => {
    const refusing = new FakeNode('n3', null)
    const leading = new FakeNode('n2', 7)
    const [first, next] = [await startServer(refusing.listener), await startServer(leading.listener)]
    for (const url of [first.url, await deadUrl()]) {
      const failures: string[] = []
      const leaders = new FakeLeaders(leaderAt(url, 6, 'n3'))
      const forwarder = openForwarder(leaders, {
        onAttemptFailed: (_leader, failure) => {
          failures.push(failure)
          leaders.set(leaderAt(next.url))
        }
      })
      expect(await forwarder.callLeader(client, call).next()).toMatchObject({ kind: 'answered' })
      expect(failures).toEqual([url === first.url ? 'not-executed' : 'not-sent'])
    }
    expect([refusing.refused.length, refusing.executed.length, leading.executed.length]).toEqual([1, 0, 2])
  })

  it('is local when this node leads, and again after a pause when the caller could not do the work', async () => {
    const sending = openForwarder(new FakeLeaders('self')).callLeader(client, call)
    expect(await sending.next()).toEqual({ kind: 'local' })
    const startedAtMs = performance.now()
    expect(await sending.next()).toEqual({ kind: 'local' })
    expect(performance.now() - startedAtMs).toBeGreaterThan(15)
  })

  it('is not repeated once it was sent: 502 after a lost connection, 504 at the deadline', async () => {
    for (const [statusCode, answer] of [[502, 'cut'], [504, 'silence']] as const) {
      const node = new FakeNode('n2', 7, (req) => { if (answer === 'cut') req.socket.destroy() })
      const { url } = await startServer(node.listener)
      const forwarder = openForwarder(new FakeLeaders(leaderAt(url)), { timeoutMs: 200 })
      expect(await forwarder.callLeader(client, call).next()).toMatchObject({
        kind: 'refused',
        refusal: { statusCode, code: 'RAFT_OUTCOME_UNKNOWN' }
      })
      expect(node.executed).toHaveLength(1)
    }
  })

  it('is refused when no leader is known in time, and when the forwarder closes', async () => {
    const refused = (code: string) => ({ kind: 'refused', refusal: { statusCode: 503, code } })
    const leaders = new FakeLeaders(null)
    expect(await openForwarder(leaders, { waitForLeaderMs: 50 }).callLeader(client, call).next()).toMatchObject(
      refused('RAFT_NO_LEADER')
    )
    const unreachable = openForwarder(new FakeLeaders(leaderAt(await deadUrl())), { waitForLeaderMs: 100 })
    expect(await unreachable.callLeader(client, call).next()).toMatchObject(refused('RAFT_NO_LEADER'))
    const forwarder = openForwarder(leaders)
    const waiting = forwarder.callLeader(client, call).next()
    await forwarder.close()
    expect(await waiting).toMatchObject(refused('RAFT_STOPPED'))
  })
})
