import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGateway } from '../../src/gateway/index.ts'
import type { MapEntry } from '../../src/plugin/index.ts'
import type { MapInput, MapOutput } from '../linearizability/index.ts'
import { checkHistory, describeViolation, HistoryRecorder, replicatedMapModel } from '../linearizability/index.ts'
import { until } from '../support/until.ts'
import type { NotesCopy } from './support/notes-cluster.ts'
import { NotesCluster } from './support/notes-cluster.ts'
import { send } from './support/requests.ts'

type Recorder = HistoryRecorder<MapInput, MapOutput>

const attemptTimeoutMs = 2_000
/** Calls of each client that got an answer, before it stops, and those that it makes at the most. */
const leastAnswers = 20
const mostCalls = 5_000
const keys = ['a', 'b']

let cluster: NotesCluster

beforeAll(async () => {
  cluster = await NotesCluster.start({ options: () => ({ forward: { waitForLeaderMs: 1_000 } }) })
})
afterAll(async () => { await cluster.stop() })

/** Writes over a copy, until told to stop: the leader executes it, wherever it is. */
async function writeNotes (name: string, recorder: Recorder, stop: AbortSignal): Promise<number> {
  let written = 0
  for (let number = 1; number <= mostCalls && (!stop.aborted || written < leastAnswers); number++) {
    const [key, value] = [keys[number % keys.length] ?? '', `${name}:${number}`]
    const { url = '' } = cluster.copies[number % cluster.copies.length] ?? {}
    const call = recorder.invoke(name, { kind: 'set', key, value })
    try {
      const answer = await send('POST', `${url}/notes/${key}`, { text: value }, attemptTimeoutMs)
      if (answer.status === 200) {
        const { revision } = JSON.parse(answer.text) as { readonly revision: number }
        call.complete({ kind: 'written', revision })
        written++
      } else if (answer.status === 503) {
        call.fail()
      } else {
        call.unknown()
      }
    } catch {
      // The copy is dead or paused.
      call.unknown()
    }
    await delay(15)
  }
  return written
}

/** Reads at one copy, until told to stop. */
async function readNotes ({ id, url }: NotesCopy, recorder: Recorder, stop: AbortSignal): Promise<number> {
  let read = 0
  for (let number = 1; number <= mostCalls && (!stop.aborted || read < leastAnswers); number++) {
    const key = keys[number % keys.length] ?? ''
    const call = recorder.invoke(id, { kind: 'get', key })
    try {
      const answer = await send('GET', `${url}/reads/linearizable/${key}`, undefined, attemptTimeoutMs)
      if (answer.status === 200) {
        const { note, by } = JSON.parse(answer.text) as { readonly note: MapEntry<string> | null, readonly by: string }
        expect(by).toBe(id)
        read++
        if (note === null) call.complete({ kind: 'absent' })
        else call.complete({ kind: 'found', value: note.value, revision: note.revision })
      } else {
        call.fail()
      }
    } catch (error) {
      call.fail()
      if (error instanceof Error && error.name === 'AssertionError') throw error
    }
    await delay(10)
  }
  return read
}

/** Changes the leader, in each of these ways. */
async function changeLeaders (): Promise<void> {
  const changed = async (before: NotesCopy): Promise<void> => {
    const others = cluster.copies.filter((copy) => copy !== before)
    await until('another leader', async () => {
      const statuses = await Promise.all(others.map(async (copy) => await cluster.status(copy).catch(() => null)))
      return statuses.some((status) => status?.isLeader === true)
    }, 20_000)
  }
  for (let round = 0; round < 3; round++) {
    const leader = await cluster.leader()
    const transferred = await send('POST', `${leader.url}/_cluster/v1/leader/transfer`, {})
    expect(transferred.status).toBe(200)
    await changed(leader)
  }
  // A leader that was asleep believes for a moment that nothing has happened.
  for (let round = 0; round < 2; round++) {
    const paused = await cluster.leader()
    paused.child.signal('SIGSTOP')
    try {
      await changed(paused)
    } finally {
      paused.child.signal('SIGCONT')
    }
  }
  const killed = await cluster.leader()
  await killed.child.kill('SIGKILL')
  await changed(killed)
  killed.child.start()
  await cluster.ready()
}

describe('reads on every copy', () => {
  it('that are linearizable are never old while leaders are transferred, paused and killed', async () => {
    const recorder: Recorder = new HistoryRecorder(() => performance.now())
    const stop = new AbortController()
    const writers = ['w1', 'w2'].map(async (name) => await writeNotes(name, recorder, stop.signal))
    const readers = cluster.copies.map(async (copy) => await readNotes(copy, recorder, stop.signal))
    try {
      await changeLeaders()
    } finally {
      stop.abort()
    }
    const written = await Promise.all(writers)
    const read = await Promise.all(readers)
    expect(Math.min(...written)).toBeGreaterThanOrEqual(leastAnswers)
    expect(Math.min(...read)).toBeGreaterThanOrEqual(leastAnswers)
    const verdict = checkHistory(replicatedMapModel, recorder.history())
    if (verdict.verdict === 'violation') throw new Error(describeViolation(replicatedMapModel, verdict))
    expect(verdict.verdict).toBe('linearizable')
  })

  it('see with a read token what their client wrote, through a gateway that spreads them', async () => {
    const gateway = createGateway({ nodes: cluster.copies.map(({ url }) => url), reads: 'any' })
    try {
      const { url } = await gateway.listen({ port: 0, host: '127.0.0.1' })
      await until('the gateway reads at all copies', () => gateway.status().nodes.every(({ ready }) => ready))
      const servedBy = new Set<string>()
      for (let number = 1; number <= 100; number++) {
        const written = await send('POST', `${url}/notes/own`, { text: `own:${number}` })
        expect(written.status).toBe(200)
        const token = written.headers.get('raft-read-token') ?? ''
        expect(token).toMatch(/^\d+;cluster=/)
        const response = await fetch(`${url}/reads/local/own`, { headers: { 'raft-read-token': token } })
        const { note, by } = await response.json() as { readonly note: MapEntry<string> | null, readonly by: string }
        expect(note?.value).toBe(`own:${number}`)
        servedBy.add(by)
      }
      expect([...servedBy].sort()).toEqual(['n1', 'n2', 'n3'])
    } finally {
      await gateway.close()
    }
  })

  it('with a token of the future, or of another cluster, are refused by every copy within their time', async () => {
    const { clusterUuid } = await cluster.members(await cluster.leader())
    for (const { url } of cluster.copies) {
      for (const token of [`9007199254740991;cluster=${clusterUuid}`, '1;cluster=another']) {
        const response = await fetch(`${url}/reads/local/own`, {
          headers: { 'raft-read-token': token },
          signal: AbortSignal.timeout(20_000)
        })
        expect(response.status).toBe(400)
        expect(await response.json()).toMatchObject({ code: 'RAFT_WRONG_READ_TOKEN' })
      }
    }
  })

  it('that are local are served by a copy that is alone, and say how old they may be', async () => {
    const alone = (await cluster.followers())[0]
    const others = cluster.copies.filter((copy) => copy !== alone)
    for (const { child } of others) child.signal('SIGSTOP')
    try {
      const contactOf = async (): Promise<number> => {
        const answer = await send('GET', `${alone?.url}/reads/local/own`)
        expect(answer.status).toBe(200)
        return Number(answer.headers.get('raft-last-contact-ms'))
      }
      await until('the leader was not heard for a second', async () => await contactOf() > 1_000)
      const refused = await send('GET', `${alone?.url}/reads/linearizable/own`)
      expect(refused.status).toBe(503)
      expect(refused.headers.get('retry-after')).not.toBeNull()
    } finally {
      for (const { child } of others) child.signal('SIGCONT')
    }
    await until('the leader is heard again', async () => {
      const answer = await send('GET', `${alone?.url}/reads/local/own`)
      return Number(answer.headers.get('raft-last-contact-ms')) < 1_000
    }, 20_000)
  })
})
