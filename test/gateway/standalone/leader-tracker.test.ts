import { describe, expect, it, onTestFinished } from 'vitest'
import { LeaderTracker } from '../../../src/gateway/standalone/leader-tracker.ts'
import { elect, startMembers } from '../support/fake-cluster.ts'
import { deadUrl, startRawServer, startServer, until } from '../support/servers.ts'

function track (nodes: string[], pollTimeoutMs = 300): LeaderTracker {
  const tracker = new LeaderTracker({ nodes: nodes.map((origin) => ({ kind: 'url', origin })), prefix: '/_cluster', pollMs: 30, searchPollMs: 10, pollTimeoutMs })
  onTestFinished(async () => { await tracker.stop() })
  tracker.start()
  return tracker
}

describe('the leader tracker', () => {
  it('finds the leader and the ready nodes, and follows a change', async () => {
    const members = await startMembers()
    const [one, two] = members
    elect(members, one ?? null, 3)
    const tracker = track(members.map((member) => member.url))
    let changes = 0
    tracker.subscribe(() => { changes++ })
    await until(() => tracker.current()?.id === 'n1' && tracker.ready().length === 3, 'n1 is known to lead')
    expect(tracker.current()).toEqual({ id: 'n1', url: one?.url, term: 3 })
    const before = changes
    elect(members, two ?? null, 4)
    await until(() => tracker.current()?.term === 4, 'n2 is known to lead')
    expect(tracker.current()).toEqual({ id: 'n2', url: two?.url, term: 4 })
    expect(changes).toBeGreaterThan(before)
    elect(members, null, 4)
    await until(() => tracker.current() === null && tracker.ready().length === 0, 'nobody leads')
  })

  it('B16 B15 of two claims takes the one with the highest term', async () => {
    const members = await startMembers()
    const [one, two, three] = members
    if (one === undefined || two === undefined || three === undefined) throw new Error('three members')
    elect(members, two, 6)
    one.claim = { id: 'n1', url: one.url, term: 5 }
    const tracker = track(members.map((member) => member.url))
    await until(() => tracker.nodes().every((node) => node.claim !== null), 'all have spoken')
    expect(tracker.current()).toEqual({ id: 'n2', url: two.url, term: 6 })
    three.claim = { id: 'n3', url: three.url, term: 7 }
    await until(() => tracker.current()?.id === 'n3', 'n3 wins')
  })

  it('B17 never turns a hint into an address: unknown nodes, user information, other schemes and odd terms are ignored', async () => {
    let called = 0
    const stranger = await startServer((_req, res) => {
      called++
      res.end()
    })
    const [member] = await startMembers(1)
    if (member === undefined) throw new Error('a member')
    const tracker = track([member.url])
    const port = new URL(member.url).port
    for (const claim of [
      { id: 'n9', url: stranger.url, term: 9 },
      { id: 'n9', url: `http://user:pass@127.0.0.1:${port}`, term: 9 },
      { id: 'n9', url: `https://127.0.0.1:${port}`, term: 9 },
      { id: 'n9', url: 'file:///etc/passwd', term: 9 },
      { id: 'n9', url: `${member.url}/path`, term: 9 },
      { id: 'n9', url: 'not a url', term: 9 },
      { id: 'n1', url: member.url, term: 2 ** 53 },
      { id: 'n1', url: member.url, term: -1 },
      { id: 'n1', url: member.url, term: 1.5 },
      { id: '', url: member.url, term: 1 }
    ]) {
      member.claim = claim
      const before = member.probes
      await until(() => member.probes >= before + 3, 'it was asked again')
      expect([claim, tracker.current()]).toEqual([claim, null])
    }
    expect(called).toBe(0)
    // The identity a node gives itself counts, whatever URL the members know it by.
    member.claim = { id: 'n1', url: 'http://internal.invalid:1', term: 9 }
    await until(() => tracker.current() !== null, 'n1 leads')
    expect(tracker.current()).toEqual({ id: 'n1', url: member.url, term: 9 })
  })

  it('matches by URL when nodes do not say who they are', async () => {
    const [member] = await startMembers(1)
    if (member === undefined) throw new Error('a member')
    member.named = false
    member.claim = { id: 'n1', url: `${member.url}/`, term: 2 }
    const tracker = track([member.url])
    await until(() => tracker.current() !== null, 'n1 leads')
    expect(tracker.current()).toEqual({ id: 'n1', url: member.url, term: 2 })
  })

  it('B17 follows no redirect', async () => {
    let called = 0
    const stranger = await startServer((_req, res) => {
      called++
      res.end('{"id":"n1","url":"x","term":9}')
    })
    let asked = 0
    const redirecting = await startServer((_req, res) => {
      asked++
      res.writeHead(302, { location: `${stranger.url}/_cluster/v1/leader` }).end()
    })
    const tracker = track([redirecting.url])
    await until(() => asked >= 4, 'it was asked')
    expect(tracker.current()).toBeNull()
    expect(tracker.ready()).toEqual([])
    expect(called).toBe(0)
  })

  it('is not delayed by a dead, a silent or a babbling node', async () => {
    const silent = await startRawServer(() => {})
    const babbling = await startRawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n')
      socket.write('x'.repeat(200_000))
    })
    const members = await startMembers(2)
    const [one, two] = members
    elect(members, one ?? null, 1)
    const tracker = track([await deadUrl(), silent.url, babbling.url, ...members.map((member) => member.url)], 5_000)
    const startedAtMs = performance.now()
    await until(() => tracker.current()?.id === 'n1', 'n1 is known')
    elect(members, two ?? null, 2)
    await until(() => tracker.current()?.id === 'n2', 'n2 is known')
    expect(performance.now() - startedAtMs).toBeLessThan(2_500)
    expect(tracker.nodes().filter((node) => node.reachable)).toHaveLength(2)
  })

  it('knows no leader while it cannot be reached, and knows a suspected one again after its next answer', async () => {
    const members = await startMembers()
    const [one] = members
    elect(members, one ?? null, 3)
    const tracker = track(members.map((member) => member.url))
    await until(() => tracker.current() !== null, 'n1 is known')
    tracker.suspect(one?.url ?? '')
    expect(tracker.current()).toBeNull()
    expect(tracker.ready()).not.toContain(one?.url)
    await until(() => tracker.current() !== null, 'n1 has answered')
    await one?.stop()
    await until(() => tracker.current() === null, 'n1 is missed although the others still name it')
    await one?.start(one.port)
    await until(() => tracker.current() !== null, 'n1 is back')
  })
})
