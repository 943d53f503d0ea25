import { describe, expect, it, onTestFinished } from 'vitest'
import { startGateway } from './support/gateway-process.ts'
import { transfer } from './support/large-bodies.ts'
import { NotesCluster } from './support/notes-cluster.ts'
import { program } from './support/start-cluster.ts'

const mebibyte = 1_048_576
const bytes = 192 * mebibyte

describe.skipIf(process.platform !== 'linux')('B23 large bodies between slow ends', () => {
  it('pass a follower and the gateway without being kept', { timeout: 120_000 }, async () => {
    const cluster = await NotesCluster.start()
    onTestFinished(async () => { await cluster.stop() })
    const { child, url } = await startGateway(program, cluster)
    onTestFinished(async () => { await child.stop(6_000) })
    const gateway = { name: 'gateway', url, pid: child.pid ?? 0 }
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
