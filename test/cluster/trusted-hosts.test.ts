import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { probeNamespaces } from './support/namespaces.ts'
import type { TrustedHostsResult } from './support/trusted-hosts.ts'

const tool = fileURLToPath(new URL('../../build/test/cluster/tools/trusted-hosts.js', import.meta.url))

const permission = probeNamespaces()
const skipped = permission.kind === 'refused' ? `, SKIPPED, not permitted here: ${permission.why}` : ''
if (skipped !== '') process.stderr.write(`test/cluster/trusted-hosts.test.ts${skipped}\n`)

describe.skipIf(skipped !== '')(`copies on hosts of their own, with a secret alone${skipped}`, () => {
  it('form a cluster, take in another copy and a gateway, refuse another secret, and survive a recorded conversation that is played back', async () => {
    const { orders, stranger, playedBack, playedBackAfterRestart, leaders, stored } = await run()
    expect(orders).toEqual({ n1: 201, n2: 201, n3: 201, n5: 201, gateway: 201 })
    expect(stored).toEqual([5, 5, 5])
    expect(stranger.isReady).toBe(false)
    for (const log of [stranger.ownLog, stranger.othersLog]) expect(log.join('\n')).toContain('has another secret than')
    // A hello is refused while the session that it has opened is kept. After a restart it opens another one, which only
    // its first sender could have the key of.
    expect(Object.keys(playedBack).sort()).toEqual(['hello 401 RAFT_UNAUTHENTICATED', 'message 401 RAFT_UNAUTHENTICATED'])
    expect(Object.keys(playedBackAfterRestart).sort()).toEqual(['hello 200', 'message 401 RAFT_PEER_SESSION'])
    const [before, afterPlayback, restarted, afterSecondPlayback] = leaders.map(({ seen }) => seen)
    expect(afterPlayback).toEqual(before)
    expect(afterSecondPlayback).toEqual(restarted)
  })
})

async function run (): Promise<TrustedHostsResult> {
  // The message channel tells the tool when this process is gone.
  const child = spawn(process.execPath, [tool], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  let output = ''
  let errors = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => { output += text })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => { errors += text })
  const [code] = await once(child, 'close') as [number | null]
  expect(code, errors).toBe(0)
  return JSON.parse(output) as TrustedHostsResult
}
