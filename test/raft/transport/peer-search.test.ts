import { describe, expect, it } from 'vitest'
import { asNodeId } from '../../../src/raft/core/index.ts'
import type { SearchedPeer } from '../../../src/raft/transport/peer-search.ts'
import { PeerSearch } from '../../../src/raft/transport/peer-search.ts'
import { quietLogger } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

const [n1, n2] = [asNodeId('n1'), asNodeId('n2')]

/** A search for n2, which answers at some URLs and says that its own is `http://own`. */
function searchFor (answersAt: readonly string[], candidates: readonly string[]) {
  const asked: string[] = []
  const peerAt = (url: string): SearchedPeer => ({
    id: n2,
    url,
    askAt: async (at) => {
      asked.push(at)
      if (!answersAt.includes(at)) throw new Error('nobody there')
      return {
        address: { clusterId: 'test', from: n2, to: n1, incarnation: 'b', expectedIncarnation: 'a' },
        members: [{ id: 'n2', url: 'http://own' }]
      }
    }
  })
  const state = { current: peerAt('http://log') }
  const search = new PeerSearch({
    urls: { own: '', candidates: () => candidates, heard: () => 'http://own', confirmed: () => {} },
    logger: quietLogger,
    pauseMs: 60_000,
    known: () => [],
    isCurrent: (peer) => peer === state.current,
    move: (_peer, url) => {
      state.current = peerAt(url)
      return state.current
    }
  })
  return { search, state, asked }
}

describe('the search for a peer', () => {
  it('finds it at another URL, and goes on to the one that it names itself', async () => {
    const { search, state, asked } = searchFor(['http://balancer', 'http://own'], ['http://log', 'http://balancer'])
    search.failed(state.current)
    await until('it is reached where it says', () => state.current.url === 'http://own')
    expect(asked).toEqual(['http://balancer', 'http://own'])
  })

  it('stays where the peer answers when its own URL leads nowhere, and does not search at each failure', async () => {
    const { search, state, asked } = searchFor(['http://balancer'], ['http://balancer', 'http://nowhere'])
    for (let failure = 0; failure < 3; failure++) search.failed(state.current)
    await until('it has asked at all', () => asked.length === 3)
    expect(state.current.url).toBe('http://balancer')
    expect(asked.sort()).toEqual(['http://balancer', 'http://nowhere', 'http://own'])
  })

  it('forgets a peer that is none any more: another one of its id is looked for at once', async () => {
    const { search, state, asked } = searchFor([], ['http://nowhere'])
    search.failed(state.current)
    search.failed(state.current)
    expect(asked).toEqual(['http://nowhere'])
    search.forget(n2)
    search.failed(state.current)
    expect(asked).toEqual(['http://nowhere', 'http://nowhere'])
  })

  it('moves nothing once it has stopped', async () => {
    const { search, state, asked } = searchFor(['http://balancer', 'http://own'], ['http://balancer'])
    search.failed(state.current)
    search.stop()
    await until('it has asked', () => asked.length === 1)
    await new Promise((resolve) => { setImmediate(resolve) })
    expect([state.current.url, asked]).toEqual(['http://log', ['http://balancer']])
  })
})
