import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import Fastify from 'fastify'
import { onTestFinished } from 'vitest'
import type { EngineRequest } from '../../../src/plugin/engine-factory.ts'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import type { PeerNotes, RaftEngine } from '../../../src/raft/index.ts'
import { FakeEngine } from '../../support/fake-engine.ts'

/** A fake engine that answers peers, and leads from its start when it is alone. */
export class FakePeerEngine extends FakeEngine implements RaftEngine {
  readonly request: EngineRequest
  peerRequests = 0
  readonly notes: PeerNotes = { send: async () => {}, listen: () => {} }

  constructor (request: EngineRequest) {
    super(request.stateMachine, request.options.id, request.options.members)
    this.request = request
  }

  override start (): void {
    super.start()
    if (this.members().length === 1) this.lead()
  }

  get expectsPeers (): boolean {
    return this.members().length !== 1
  }

  handlePeerRequest (_request: IncomingMessage, response: ServerResponse): void {
    this.peerRequests++
    response.end('peer')
  }
}

/** Three members on this machine; the addresses are never connected to unless a test listens there. */
export function threeMembers (port = 1): ClusterOptions {
  return {
    id: 'n1',
    // Nothing is kept there. Not empty, so that the start asks nobody whether this node still belongs.
    dataDir: import.meta.dirname,
    members: ['n1', 'n2', 'n3'].map((id, index) => ({ id, url: `http://127.0.0.1:${port + index}` }))
  }
}

export interface FakeApp {
  readonly app: FastifyInstance
  readonly engine: FakePeerEngine
}

/** An app with the plugin over a fake engine; `declare` adds routes. Closed when the test ends. */
export async function fakeApp (
  options: ClusterOptions,
  declare: (app: FastifyInstance) => void | Promise<void> = () => {},
  serverOptions: FastifyServerOptions = {}
): Promise<FakeApp> {
  const app = Fastify(serverOptions)
  onTestFinished(async () => {
    await app.close()
  })
  let engine: FakePeerEngine | null = null
  await app.register(
    createClusterPlugin(async (request) => {
      engine = new FakePeerEngine(request)
      return engine
    }),
    options
  )
  await declare(app)
  await app.ready()
  if (engine === null) throw new Error('the engine was not opened')
  return { app, engine }
}
