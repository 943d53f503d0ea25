import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { describe, expect, it } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'

interface Refuser {
  readonly name: string
  readonly statusCode: number
  readonly install: (app: FastifyInstance) => Promise<void>
}

const refusers: readonly Refuser[] = [
  {
    name: 'an app-wide authentication hook',
    statusCode: 401,
    install: async (app) => { app.addHook('onRequest', async (_request, reply) => reply.code(401).send('who are you')) }
  },
  {
    name: '@fastify/under-pressure',
    statusCode: 503,
    install: async (app) => { await app.register(underPressure, { maxHeapUsedBytes: 1, sampleInterval: 10 }) }
  }
]

const orders = ['before', 'after'] as const

/** Heartbeats keep coming through for longer than any election timeout: same leader, same term. */
async function staysStable (nodes: readonly Node[], leader: Node): Promise<void> {
  const { term } = leader.app.cluster
  const applied = leader.app.cluster.status.appliedIndex
  for (let write = 0; write < 15; write++) {
    await leader.app.cluster.map('m').set('k', write)
    await new Promise((resolve) => { setTimeout(resolve, 100) })
  }
  for (const { app } of nodes) {
    expect(app.cluster).toMatchObject({ term, leader: { id: leader.id } })
    await expect.poll(() => app.cluster.status.appliedIndex).toBeGreaterThan(applied + 14)
  }
}

describe.each(refusers)('peers under $name that refuses everything', ({ statusCode, install }) => {
  it.each(orders)('registered %s the plugin elect a leader, replicate and stay together', async (order) => {
    const nodes = await clusterOfThree(async (app, options) => {
      if (order === 'before') await install(app)
      await app.register(cluster, options)
      if (order === 'after') await install(app)
      app.get('/x', async () => 'x')
    })
    const leader = await agreedLeader(nodes)
    await staysStable(nodes, leader)
    for (const { url } of nodes) expect((await fetch(`${url}/x`)).status).toBe(statusCode)
  })
})
