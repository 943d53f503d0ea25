import { afterEach, describe, expect, it } from 'vitest'
import type { LocalCluster } from '../../src/cli/local/local-cluster.ts'
import type { RunningBalancer } from './support/balancer-program.ts'
import { haproxy, isInstalled, nginx, startBalancer } from './support/balancer-program.ts'
import { OrderLoad } from './support/order-load.ts'
import { send } from './support/requests.ts'
import { startCluster } from './support/start-cluster.ts'

let cluster: LocalCluster | null = null
let balancer: RunningBalancer | null = null
let load: OrderLoad | null = null

afterEach(async () => {
  await load?.stop()
  await balancer?.stop()
  await cluster?.stop()
  cluster = balancer = load = null
})

/** Several times what the slowest failover took. */
const recoveryTimeoutMs = 15_000

describe.each([haproxy, nginx])('behind $name, as examples/balancers has it', (program) => {
  const isMissing = !isInstalled(program)
  const skipped = isMissing ? ` (skipped: ${program.name} is not installed)` : ''

  it.skipIf(isMissing)(`the leader is killed under load: what was acknowledged is there${skipped}`, async () => {
    cluster = await startCluster()
    balancer = await startBalancer(program, cluster.nodes)
    load = new OrderLoad(balancer.url)
    await load.acknowledged(50)
    const leader = await cluster.waitForLeader()
    await cluster.kill(leader.id, 'SIGKILL')
    await load.succeedsFromNow(recoveryTimeoutMs)
    // Nothing fails any more: neither the dead node nor a memory of its failures is in the way.
    const failedBefore = load.failures.length
    await load.acknowledged(200)
    expect(load.failures.slice(failedBefore)).toEqual([])
    expect(await load.lost(cluster.followers(leader)[0]?.url ?? '')).toEqual([])
  })

  it.skipIf(isMissing)(`leadership is handed over under load: the balancer follows${skipped}`, async () => {
    cluster = await startCluster()
    balancer = await startBalancer(program, cluster.nodes)
    load = new OrderLoad(balancer.url)
    await load.acknowledged(50)
    const leader = await cluster.waitForLeader()
    const { status } = await send('POST', `${leader.url}/_cluster/v1/leader/transfer`, {})
    expect(status).toBe(200)
    await load.succeedsFromNow(recoveryTimeoutMs)
    const failedBefore = load.failures.length
    await load.acknowledged(200)
    expect(load.failures.slice(failedBefore)).toEqual([])
    // A handover is no reason to be without a node: nothing was answered by the balancer itself.
    expect(load.failures.filter(({ code }) => code === null && program === nginx)).toEqual([])
    expect(await load.lost(leader.url)).toEqual([])
  })

  it.skipIf(isMissing)(`nothing of the cluster is reached through it${skipped}`, async () => {
    cluster = await startCluster()
    balancer = await startBalancer(program, cluster.nodes)
    for (const path of ['/_cluster/v1/status', '/%5Fcluster/v1/status', '/_cluster/raft/append', '/_CLUSTER/v1/livez']) {
      const answer = await send('GET', `${balancer.url}${path}`)
      expect([path, answer.status]).toEqual([path, 404])
      expect(answer.text).not.toContain('commitIndex')
    }
  })
})
