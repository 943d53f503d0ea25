import { describe, expect, it, onTestFinished } from 'vitest'
import { startGateway, transfer } from './support/large-bodies.ts'
import { NotesCluster } from './support/notes-cluster.ts'

const mebibyte = 1_048_576
const bytes = 192 * mebibyte

describe.skipIf(process.platform !== 'linux')('B23 large bodies between slow ends', () => {
  it('pass a follower and the gateway without being kept', { timeout: 120_000 }, async () => {
    const cluster = await NotesCluster.start()
    onTestFinished(async () => { await cluster.stop() })
    const gateway = await startGateway(cluster)
    onTestFinished(gateway.stop)
    const [follower] = await cluster.followers()
    if (follower === undefined) throw new Error('a cluster of three')
    for (const carrier of [{ name: follower.id, url: follower.url, pid: follower.child.pid ?? 0 }, gateway]) {
      for (const direction of ['up', 'down'] as const) {
        // The first one grows the heap to what any transfer needs.
        await transfer(carrier, direction, 32 * mebibyte)
        expect((await transfer(carrier, direction, bytes)).growth, `${carrier.name} ${direction}`)
          .toBeLessThan(64 * mebibyte)
      }
    }
  })
})
