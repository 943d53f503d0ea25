import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../support/until.ts'
import { BesiegedCluster } from './support/besieged-cluster.ts'
import { askJson } from './support/hostile-request.ts'
import type { Exchange, InterceptedAnswer, InterceptedRequest } from './support/interceptor.ts'
import { codeOf, fieldOf } from './support/interceptor.ts'
import type { NotesCopy } from './support/notes-cluster.ts'

let besieged: BesiegedCluster

beforeAll(async () => { besieged = await BesiegedCluster.start({ intercepted: true }) })
beforeEach(async () => { await besieged.look() })
afterAll(async () => { await besieged.stop() })

describe('somebody on the way between the copies', () => {
  it('C6 plays recorded requests of peers back, at once and after a restart', async () => {
    const { leader, follower, cluster } = besieged
    const played = async (copy: NotesCopy, exchange: Exchange): Promise<string> => {
      const answer = await copy.interceptor?.send(exchange.request)
      const isHello = exchange.request.target.endsWith('/hello')
      return `${isHello ? 'hello' : 'message'} ${answer?.statusCode} ${answer === undefined ? '' : codeOf(answer)}`.trim()
    }
    for (const copy of [leader, follower]) {
      const recorded = await until('enough is recorded', () => {
        const all = recordedAt(copy)
        return all.length > 10 ? all : null
      })
      const some = [...recorded.filter(({ request }) => request.target.endsWith('/hello')), ...recorded.slice(-50)]
      await besieged.underAttack(`C6 ${copy === leader ? 'leader' : 'follower'}`, async () => {
        const outcomes = new Set<string>()
        for (const exchange of some) outcomes.add(await played(copy, exchange))
        expect(outcomes).toEqual(new Set(['hello 401 RAFT_UNAUTHENTICATED', 'message 401 RAFT_UNAUTHENTICATED']))
      })
    }
    const recorded = recordedAt(follower)
    await cluster.restart(follower)
    await besieged.look()
    const some = recorded.slice(0, 100)
    // The first time a hello opens a session, which nobody has the key of.
    for (const exchange of some.filter(({ request }) => request.target.endsWith('/hello'))) {
      expect(await played(follower, exchange)).toBe('hello 200')
    }
    await besieged.underAttack('C6 restarted', async () => {
      const outcomes = new Set<string>()
      for (const exchange of some) outcomes.add(await played(follower, exchange))
      expect(outcomes).toEqual(new Set(['hello 401 RAFT_UNAUTHENTICATED', 'message 401 RAFT_PEER_SESSION']))
    })
  })

  it('C6 plays recorded forwarded requests back', async () => {
    const { leader, cluster } = besieged
    const forwarded = (leader.interceptor?.recorded ?? []).filter(({ request, answer }) =>
      request.method === 'POST' && fieldOf(request, 'raft-hop') !== undefined && answer.statusCode === 200).slice(-20)
    expect(forwarded.length).toBeGreaterThan(5)
    const keys = forwarded.map(({ request: { target } }) => target.slice('/notes/'.length))
    const executed = async (): Promise<readonly number[]> =>
      await Promise.all(keys.map(async (key) => await cluster.executed(key)))
    const before = await executed()
    await besieged.underAttack('C6 forwarded', async () => {
      for (const { request } of forwarded) {
        const answer = await leader.interceptor?.send(request)
        expect([answer?.statusCode, answer && codeOf(answer)]).toEqual([401, 'RAFT_UNAUTHENTICATED'])
      }
    })
    expect(await executed()).toEqual(before)
  })

  it('C7 says of an executed request that it was not executed', async () => {
    const { leader, otherFollower, cluster } = besieged
    const { interceptor } = leader
    if (interceptor === null) throw new Error('it is reached over one')
    let passed = 0
    interceptor.intercept = async (request, pass) => {
      const answer = await pass(request)
      if (request.target !== '/notes/attack-forged') return answer
      passed++
      const [, id] = /;id=([^;]+)/.exec(fieldOf(request, 'raft-hop') ?? '') ?? []
      const [, cluster] = /;cluster=([^;]+)/.exec(fieldOf(request, 'raft-hop') ?? '') ?? []
      const marker = `${besieged.term};id=${id}` + (cluster === undefined ? '' : `;cluster=${cluster}`)
      return { statusCode: 503, headers: [...answer.headers, 'raft-not-executed', marker], body: answer.body }
    }
    const verdict = await askJson('POST', `${otherFollower.url}/notes/attack-forged`, { text: 'x' })
    interceptor.intercept = async (request, pass) => await pass(request)
    expect([passed, await cluster.executed('attack-forged'), verdict.statusCode, verdict.code])
      .toEqual([1, 1, 502, 'RAFT_OUTCOME_UNKNOWN'])
  })

  it('C7 reflects requests of peers, and alters answers or takes those of other requests', async () => {
    const { leader, follower, cluster } = besieged
    const tricks = createTricks()
    const { interceptor } = follower
    if (interceptor === null) throw new Error('it is reached over one')
    const logged = leader.lines().length
    let tricked = 0
    interceptor.intercept = async (request, pass) => {
      const answer = await pass(request)
      const isTricked = isPeers(request) && !request.target.endsWith('/hello')
      return isTricked ? tricks[tricked++ % tricks.length]?.(request, answer) ?? answer : answer
    }
    await besieged.underAttack('C7', async () => { await delay(300) })
    expect(tricked).toBeGreaterThan(tricks.length)
    interceptor.intercept = async (request, pass) => await pass(request)
    const said = leader.lines().slice(logged).map(({ err }) => err?.message ?? '')
    expect(said).toContainEqual(expect.stringContaining('the seal of its answer does not fit'))
    await cluster.ready()
  })

  it('has changed nothing in the end', async () => {
    const { failures } = await besieged.endClients([['attack-forged', 'x']])
    expect(failures).toEqual([])
  })
})

/** What peers sent to a copy since its start, and what it answered 200. */
function recordedAt ({ interceptor }: NotesCopy): readonly Exchange[] {
  return (interceptor?.recorded ?? []).filter(({ request, answer }) => isPeers(request) && answer.statusCode === 200)
}

function isPeers ({ target }: InterceptedRequest): boolean {
  return target.startsWith('/_cluster/raft/')
}

/** Another answer than the one that came. */
type Trick = (request: InterceptedRequest, answer: InterceptedAnswer) => InterceptedAnswer

function createTricks (): readonly Trick[] {
  let last: InterceptedAnswer | null = null
  return [
    // The request itself, with its seal.
    ({ headers, body }) => ({ statusCode: 200, headers: without(headers, ['host', 'content-length']), body }),
    (_request, answer) => ({ ...answer, body: flipped(answer.body) }),
    (_request, answer) => ({ ...answer, headers: without(answer.headers, ['raft-seal']) }),
    (_request, answer) => {
      const other = last
      last = answer
      return other ?? answer
    }
  ]
}

function without (headers: readonly string[], names: readonly string[]): readonly string[] {
  return headers.filter((_, index) => !names.includes(headers[index - index % 2]?.toLowerCase() ?? ''))
}

/** The same bytes, but for the last bit. */
function flipped (body: Buffer): Buffer {
  return Buffer.concat([body.subarray(0, -1), Buffer.from([(body.at(-1) ?? 0) ^ 1])])
}
