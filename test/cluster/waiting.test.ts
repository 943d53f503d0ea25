import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../support/until.ts'
import { residentBytes } from './support/large-bodies.ts'
import type { NotesCopy } from './support/notes-cluster.ts'
import { NotesCluster } from './support/notes-cluster.ts'
import { send } from './support/requests.ts'

const connections = 1_000
const requestsEach = 10
const maxWaiting = 500
const waitForLeaderMs = 3_000
const mebibyte = 1_048_576

/** Sends so many requests at once over one connection, and resolves with all that comes back. */
async function burst (copy: NotesCopy): Promise<string> {
  const { hostname, port } = new URL(copy.url)
  const body = '{"text":"x"}'
  const one = (close: string): string =>
    `POST /notes/burst HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${close}Content-Length: ${body.length}\r\n\r\n${body}`
  return await new Promise((resolve, reject) => {
    let received = ''
    const socket: Socket = connect({ host: hostname, port: Number(port) })
    socket.setEncoding('latin1').on('data', (text: string) => { received += text })
    socket.on('error', reject).on('close', () => { resolve(received) })
    socket.write(one('').repeat(requestsEach - 1) + one('Connection: close\r\n'))
  })
}

/** How many of so many requests got each code, and how long the last one took. */
async function flood (copy: NotesCopy): Promise<{ readonly codes: Record<string, number>, readonly tookMs: number }> {
  const startedAtMs = performance.now()
  const answers = await Promise.all(Array.from({ length: connections }, async () => await burst(copy)))
  const codes: Record<string, number> = {}
  for (const [code] of answers.join('').matchAll(/RAFT_\w+/g)) codes[code] = (codes[code] ?? 0) + 1
  return { codes, tookMs: performance.now() - startedAtMs }
}

describe.skipIf(process.platform !== 'linux')('B24 ten thousand requests while there is no leader', () => {
  it('wait up to the limit and the deadline, are answered, and leave nothing behind', { timeout: 120_000 }, async () => {
    const cluster = await NotesCluster.start({ options: () => ({ forward: { maxWaiting, waitForLeaderMs } }) })
    onTestFinished(async () => { await cluster.stop() })
    const [copy, ...others] = [...await cluster.followers(), await cluster.leader()]
    if (copy === undefined) throw new Error('a cluster of three')
    const signal = (name: NodeJS.Signals): void => {
      for (const { child } of others) process.kill(child.pid ?? 0, name)
    }
    onTestFinished(() => { signal('SIGCONT') })
    signal('SIGSTOP')
    // Until the copy has noticed, requests go to the leader that is stopped.
    await until('the copy has noticed', async () =>
      (await send('GET', `${copy.url}/_cluster/v1/leader`)).text.includes('RAFT_NO_LEADER'))
    const resident: number[] = []
    for (let round = 0; round < 3; round++) {
      const { codes, tookMs } = await flood(copy)
      const { RAFT_BUSY: busy = 0, RAFT_NO_LEADER: late = 0 } = codes
      expect(busy + late).toBe(connections * requestsEach)
      expect(busy).toBeGreaterThanOrEqual(connections * requestsEach / 2)
      // Answers on a connection come in order: those behind one that waits come after it, and so may wait in turn.
      expect(tookMs).toBeLessThan(waitForLeaderMs * requestsEach)
      resident.push(residentBytes(copy.child.pid ?? 0))
    }
    const [, second = 0, third = 0] = resident
    expect(third - second).toBeLessThan(48 * mebibyte)
    signal('SIGCONT')
    await cluster.leader()
    expect((await send('POST', `${copy.url}/notes/after`, { text: 'x' })).status).toBe(200)
  })
})
