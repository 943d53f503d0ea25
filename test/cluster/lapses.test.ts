import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { send } from './support/requests.ts'
import { startCluster } from './support/start-cluster.ts'

const pauses = 8
/** Longer than the lease of 267 ms. Followers elect after 500 to 1,000 ms without a leader. */
const pausedMs = 520

/** Terms of the log lines with this message, in order. */
function termsOf (logFile: string, message: string): number[] {
  return readFileSync(logFile, 'utf8').split('\n').flatMap((line) => {
    if (!line.includes(`"${message}"`)) return []
    const { term } = JSON.parse(line) as { readonly term: unknown }
    return [Number(term)]
  })
}

describe('a leader that is stopped for a moment', () => {
  it(
    'D26: starts each leadership once, however often its lease lapses in the term',
    { timeout: 120_000 },
    async () => {
      const cluster = await startCluster({ gateway: false })
      try {
        for (let round = 0; round < pauses; round++) {
          const leader = await cluster.waitForLeader()
          leader.child.signal('SIGSTOP')
          await new Promise((resolve) => setTimeout(resolve, pausedMs))
          leader.child.signal('SIGCONT')
          await pollUntil('a leader with its lease', 20_000, async () => {
            const answers = await Promise.all(cluster.nodes.map(({ url }) => send('GET', `${url}/_cluster/v1/status`)))
            return answers.some(({ text }) => (JSON.parse(text) as { isLeader?: unknown }).isLeader === true) || null
          })
        }
        const logs = cluster.nodes.map(({ child }) => child.command.logFile)
        const started = logs.flatMap((log) => termsOf(log, 'leadership started'))
        expect(started.length).toBeGreaterThan(0)
        expect([...started].sort((a, b) => a - b)).toEqual([...new Set(started)].sort((a, b) => a - b))
        // Some of the pauses left the term as it was.
        expect(logs.flatMap((log) => termsOf(log, 'the lease holds again: no other node has led meanwhile')))
          .not.toEqual([])
      } finally {
        await cluster.stop()
      }
    }
  )
})
