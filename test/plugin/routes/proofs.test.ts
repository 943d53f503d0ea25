import { request as httpRequest } from 'node:http'
import { beforeEach, describe, expect, it } from 'vitest'
import { hashOfBody, Nonce, Prover, readGatewaySecrets } from '../../../src/raft/internal.ts'
import type { Secrets } from '../../../src/raft/trust/secret.ts'
import { gatewaySecretOf, makeSecret, readSecrets } from '../../../src/raft/trust/secret.ts'
import { abroad } from '../support/abroad.ts'
import type { FakePeerEngine } from '../support/fake-app.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

type Fields = Readonly<Record<string, string>>

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly code: unknown
}

/** What an attacker or an insider sends: everything as written, on a connection of its own. */
function send (url: string, method: string, path: string, headers: Fields, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const length = body === '' ? {} : { 'content-length': String(body.length), 'content-type': 'application/json' }
    httpRequest({ hostname, port, method, path, headers: { ...headers, ...length }, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('end', () => {
        const { code = null } = text.startsWith('{') ? JSON.parse(text) as { code?: unknown } : {}
        resolve({ status: response.statusCode ?? 0, headers: response.headers, code })
      })
    }).on('error', reject).end(body)
  })
}

function secretsOf (text: string): Secrets {
  const reading = readSecrets([text])
  if (reading.kind === 'faults') throw new Error('it is none')
  return reading
}

function gatewayOf (text: string, name = 'g1'): Prover {
  const [secret] = secretsOf(text).current
  const derived = readGatewaySecrets([secret === undefined ? '' : gatewaySecretOf(secret)])
  if (derived.kind === 'faults') throw new Error('it is none')
  return Prover.ofGateway(name, derived)
}

/** One copy that leads, on a real server; whoever calls it comes from another machine. */
class Trial {
  readonly secret = makeSecret()
  readonly lines: Array<{ readonly msg: string, readonly code?: string }> = []
  readonly uuid = '0b0c0d0e-0f5b-4c8e-9d0a-1b2c3d4e5f60'
  /** Requests that it has executed. */
  executed = 0
  url = ''
  engine!: FakePeerEngine
  nonce!: Nonce
  /** What it tells gateways. */
  ofGateways!: Nonce

  async start (): Promise<void> {
    const stream = { write: (line: string) => { this.lines.push(JSON.parse(line) as { msg: string }) } }
    const { app, engine } = await fakeApp({ ...threeMembers(), secret: this.secret }, (app) => {
      abroad(app)
      app.all('/orders', { forward: true }, async (request) => {
        this.executed++
        return { ip: request.ip }
      })
    }, { logger: { stream } })
    engine.uuid = this.uuid
    engine.lead()
    this.engine = engine
    this.url = await app.listen({ port: 0, host: '127.0.0.1' })
    const told = await send(this.url, 'GET', '/_cluster/v1/livez', {})
    const nonce = Nonce.parse(told.headers['raft-nonce'])
    if (nonce === null) throw new Error('a node with a secret tells its nonce')
    this.nonce = nonce
    const asked = this.call(gatewayOf(this.secret), 'GET', '/_cluster/v1/livez')
    const ofGateways = Nonce.parse((await send(this.url, 'GET', '/_cluster/v1/livez', asked)).headers['raft-nonce'])
    if (ofGateways === null) throw new Error('a node with a secret tells gateways another nonce')
    this.ofGateways = ofGateways
  }

  prover (from = 'n2', secret = this.secret): Prover {
    return Prover.ofMember(from, secretsOf(secret))
  }

  /** The fields of a hop, each part as given or as an honest follower writes it. */
  hop (given: {
    readonly prover?: Prover
    readonly from?: string
    readonly to?: string
    readonly cluster?: string
    readonly method?: string
    readonly path?: string
    readonly nonce?: Nonce
  } = {}): Fields {
    const { from = 'n2', to = 'n1', cluster: uuid = this.uuid, method = 'POST', path = '/orders' } = given
    const { prover = this.prover(from), nonce = this.nonce } = given
    const id = prover.nextId()
    const { term } = this.engine.status()
    const hop = `v=1;from=${from};to=${to};term=${term};id=${id};cluster=${uuid}`
    const parts = { method, target: path, hop, attempt: '', cluster: '' }
    const client = { address: '198.51.100.7', port: 4_000, isTls: false }
    return { 'raft-hop': hop, 'raft-proof': prover.prove(nonce, parts, { id, client })?.field ?? '' }
  }

  /** The field of a call of a node's own. */
  call (prover: Prover, method: string, path: string, body = '', meant = '', nonce = this.nonce): Fields {
    const parts = { method, target: path, hop: '', attempt: '', cluster: meant }
    const proof = prover.prove(nonce, parts, { id: prover.nextId(), bodyHash: hashOfBody(body) })
    return { 'raft-proof': proof?.field ?? '', ...(meant === '' ? {} : { 'raft-cluster': meant }) }
  }

  /** Expects that a hop is refused before anything runs, and that good ones go on. */
  async expectRefused (answer: Promise<Answer>, status: number, code: string): Promise<void> {
    const before = this.executed
    const { headers, ...refused } = await answer
    expect(refused).toEqual({ status, code })
    expect(headers['raft-not-executed']).toBeDefined()
    expect(this.executed).toBe(before)
    const good = await send(this.url, 'POST', '/orders', this.hop())
    expect([good.status, this.executed]).toEqual([200, before + 1])
  }
}

describe('with a secret, a forwarded request that was', () => {
  let trial: Trial
  beforeEach(async () => {
    trial = new Trial()
    await trial.start()
  })

  it('forged, by somebody without the secret or with another one, is refused, counted and logged', async () => {
    const { 'raft-hop': hop = '', 'raft-proof': proof = '' } = trial.hop()
    const orders = (headers: Fields): Promise<Answer> => send(trial.url, 'POST', '/orders', headers)
    await trial.expectRefused(orders({ 'raft-hop': hop }), 401, 'RAFT_UNAUTHENTICATED')
    await trial.expectRefused(orders({ 'raft-hop': hop, 'raft-proof': 'x' }), 401, 'RAFT_UNAUTHENTICATED')
    const last = proof.slice(0, -2)
    await trial.expectRefused(orders({ 'raft-hop': hop, 'raft-proof': `${last}AA` }), 401, 'RAFT_UNAUTHENTICATED')
    const other = trial.hop({ prover: trial.prover('n2', makeSecret()) })
    await trial.expectRefused(orders(other), 401, 'RAFT_OTHER_SECRET')
    const lines = trial.lines.filter(({ msg }) => msg === 'a peer was refused')
    expect(lines.map(({ code }) => code).sort())
      .toEqual(['RAFT_OTHER_SECRET', 'RAFT_UNAUTHENTICATED'])
  })

  it('altered is refused: another method, path, client, member or term', async () => {
    await trial.expectRefused(send(trial.url, 'PUT', '/orders', trial.hop()), 401, 'RAFT_UNAUTHENTICATED')
    await trial.expectRefused(send(trial.url, 'POST', '/orders?a=1', trial.hop()), 401, 'RAFT_UNAUTHENTICATED')
    const { 'raft-hop': hop = '', 'raft-proof': proof = '' } = trial.hop()
    for (const fields of [
      { 'raft-hop': hop, 'raft-proof': proof.replace('198.51.100.7', '127.0.0.1') },
      { 'raft-hop': hop, 'raft-proof': proof.replace('from=n2', 'from=n3') },
      { 'raft-hop': hop.replace(/id=[0-9a-f]{4}/, 'id=0000'), 'raft-proof': proof }
    ]) await trial.expectRefused(send(trial.url, 'POST', '/orders', fields), 401, 'RAFT_UNAUTHENTICATED')
  })

  it('replayed is refused, to the same node as often as one likes', async () => {
    const fields = trial.hop()
    expect((await send(trial.url, 'POST', '/orders', fields, '{"a":1}')).status).toBe(200)
    for (const body of ['{"a":1}', '{"a":2}', '']) {
      await trial.expectRefused(send(trial.url, 'POST', '/orders', fields, body), 401, 'RAFT_UNAUTHENTICATED')
    }
  })

  it('reflected to its sender, or meant for another node, is refused', async () => {
    await trial.expectRefused(send(trial.url, 'POST', '/orders', trial.hop({ from: 'n1', to: 'n2' })), 421, 'RAFT_MISDIRECTED')
    const other = trial.hop({ nonce: Nonce.draw() })
    await trial.expectRefused(send(trial.url, 'POST', '/orders', other), 401, 'RAFT_PEER_SESSION')
    // Told the nonce, an honest sender tries again: no stranger, and nothing to log.
    expect((await send(trial.url, 'POST', '/orders', other)).headers['raft-nonce']).toBe(trial.nonce.text)
    expect(trial.lines.filter(({ msg }) => msg === 'a peer was refused')).toEqual([])
  })

  it('sent by a node that is no member, or none any more, is refused although it has the secret', async () => {
    await trial.expectRefused(send(trial.url, 'POST', '/orders', trial.hop({ from: 'n9' })), 403, 'RAFT_UNAUTHORIZED')
  })

  it('sent in the name of another member is refused', async () => {
    const fields = trial.hop({ from: 'n2', prover: trial.prover('n3') })
    await trial.expectRefused(send(trial.url, 'POST', '/orders', fields), 401, 'RAFT_UNAUTHENTICATED')
  })

  it('sent by a node of another foundation of the same name and secret is refused', async () => {
    const fields = trial.hop({ cluster: '6f1e7c2a-0f5b-4c8e-9d0a-1b2c3d4e5f60' })
    await trial.expectRefused(send(trial.url, 'POST', '/orders', fields), 421, 'RAFT_OTHER_CLUSTER')
  })

  it('sent by a gateway for a route of the cluster is refused, in any spelling', async () => {
    const prover = gatewayOf(trial.secret)
    const [from, nonce] = ['g1', trial.ofGateways]
    expect((await send(trial.url, 'POST', '/orders', trial.hop({ prover, from, nonce }))).status).toBe(200)
    for (const path of ['/_cluster/v1/leader/step-down', '/%5fcluster/v1/members', '//_CLUSTER/v1/kv/a']) {
      const fields = trial.hop({ prover, from, path, nonce })
      await trial.expectRefused(send(trial.url, 'POST', path, fields), 403, 'RAFT_UNAUTHORIZED')
    }
    expect(trial.engine.currentLeadership()).not.toBeNull()
  })
})

describe('with a secret, a call of a v1 route by', () => {
  let trial: Trial
  beforeEach(async () => {
    trial = new Trial()
    await trial.start()
  })

  it('a stranger is refused, and a proven node is served and gets a proven answer', async () => {
    const prover = trial.prover('n7')
    for (const path of ['status', 'members', 'leader'].map((name) => `/_cluster/v1/${name}`)) {
      expect(await send(trial.url, 'GET', path, {})).toMatchObject({ status: 403, code: 'RAFT_UNAUTHORIZED' })
      expect(await send(trial.url, 'GET', path, { 'raft-proof': 'x' })).toMatchObject({ status: 401 })
      const answer = await send(trial.url, 'GET', path, trial.call(prover, 'GET', path))
      expect(answer.status).toBe(200)
      expect(answer.headers['raft-proof']).toMatch(/^[\w-]{43}$/)
    }
  })

  it('a node, sent again or with another body, route or cluster, is refused and changes nothing', async () => {
    const prover = trial.prover('n7')
    const path = '/_cluster/v1/members'
    const body = JSON.stringify({ id: 'n7', url: 'http://127.0.0.1:9' })
    const refused = [
      await send(trial.url, 'POST', path, trial.call(prover, 'POST', path, body), body.replace('n7', 'n8')),
      await send(trial.url, 'POST', path, trial.call(prover, 'POST', path, body)),
      await send(trial.url, 'POST', path, trial.call(prover, 'POST', `${path}/n2/demote`, body), body),
      await send(trial.url, 'POST', path, { ...trial.call(prover, 'POST', path, body), 'raft-cluster': trial.uuid }, body)
    ]
    expect(refused.map(({ status, code }) => [status, code])).toEqual(refused.map(() => [401, 'RAFT_UNAUTHENTICATED']))
    const elsewhere = trial.call(prover, 'POST', path, body, '6f1e7c2a-0f5b-4c8e-9d0a-1b2c3d4e5f60')
    expect(await send(trial.url, 'POST', path, elsewhere, body)).toMatchObject({ code: 'RAFT_OTHER_CLUSTER' })
    const unchanged = trial.engine.membership()
    expect(unchanged.members.map(({ id }) => id)).toEqual(['n1', 'n2', 'n3'])
    const once = trial.call(prover, 'POST', path, body)
    // It comes as far as the engine, which is a fake with a fixed membership.
    expect(await send(trial.url, 'POST', path, once, body)).toMatchObject({ code: 'RAFT_INTERNAL' })
    expect(await send(trial.url, 'POST', path, once, body)).toMatchObject({ status: 401, code: 'RAFT_UNAUTHENTICATED' })
  })

  it('a gateway is served who leads, and nothing else', async () => {
    const gateway = gatewayOf(trial.secret)
    const ask = (method: string, name: string, body = ''): Promise<Answer> => {
      const path = `/_cluster/v1/${name}`
      return send(trial.url, method, path, trial.call(gateway, method, path, body, '', trial.ofGateways), body)
    }
    for (const name of ['leader', 'readyz', 'livez', 'leader/self']) expect((await ask('GET', name)).status).toBe(200)
    for (const [method, name, body] of [
      ['GET', 'status', ''], ['GET', 'members', ''], ['GET', 'kv', ''], ['GET', 'kv/a', ''], ['PUT', 'kv/a', '{"value":1}'],
      ['DELETE', 'kv/a', ''], ['POST', 'members', '{"id":"n7","url":"http://127.0.0.1:9"}'], ['DELETE', 'members/n2', ''],
      ['POST', 'members/n2/demote', '{}'], ['POST', 'leader/step-down', '{}'], ['POST', 'leader/transfer', '{}']
    ] as const) expect(await ask(method, name, body), name).toMatchObject({ status: 403, code: 'RAFT_UNAUTHORIZED' })
    expect(trial.engine.currentLeadership()).not.toBeNull()
  })
})
