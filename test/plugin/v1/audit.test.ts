import type { FastifyInstance } from 'fastify'
import { describe, expect, it } from 'vitest'
import { Audit } from '../../../src/plugin/cluster/audit.ts'
import type { AuditRecord, ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { noteCaller } from '../../../src/plugin/routes/proven-caller.ts'
import { makeToken, systemTimers } from '../../../src/raft/internal.ts'
import { until } from '../../support/until.ts'
import { agreedLeader, clusterOfThree, wholeMembership } from '../support/cluster-of-three.ts'
import { fakeApp } from '../support/fake-app.ts'

const [reader, writer, operator] = [makeToken(), makeToken(), makeToken()]
const withTokens = {
  tokens: [
    { token: reader, role: 'read', name: 'reader' },
    { token: writer, role: 'data', name: 'writer' },
    { token: operator, role: 'admin', name: 'operator' }
  ]
} satisfies ClusterOptions

interface Audited {
  readonly app: FastifyInstance
  readonly records: AuditRecord[]
  /** All lines of the log, parsed. */
  readonly lines: Array<Record<string, unknown>>
  readonly call: (method: 'GET' | 'PUT' | 'POST' | 'DELETE', url: string, how?: CallOptions) => Promise<number>
}

interface CallOptions {
  readonly token?: string
  readonly body?: object
  readonly from?: string
}

async function audited (options: ClusterOptions): Promise<Audited> {
  const lines: Array<Record<string, unknown>> = []
  const stream = { write: (line: string) => { lines.push(JSON.parse(line) as Record<string, unknown>) } }
  const { app } = await fakeApp(options, undefined, { logger: { level: 'debug', stream } })
  const records: AuditRecord[] = []
  app.cluster.on('audit', (record) => { records.push(record) })
  const call: Audited['call'] = async (method, url, { token, body, from } = {}) => (await app.inject({
    method,
    url: `/_cluster/v1/${url}`,
    ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    ...(body === undefined ? {} : { payload: body }),
    ...(from === undefined ? {} : { remoteAddress: from })
  })).statusCode
  return { app, records, lines, call }
}

function auditLines (lines: ReadonlyArray<Record<string, unknown>>): Array<Record<string, unknown>> {
  return lines.filter(({ name }) => name === 'audit')
}

describe('the audit', () => {
  it('has a line and an event for each write of data: who, from where, what, and what came of it', async () => {
    const { call, records, lines } = await audited(withTokens)
    expect(await call('PUT', 'kv/colour', { token: writer, body: { value: 'hunter2', ifRevision: 0 }, from: '10.0.0.9' })).toBe(200)
    expect(await call('PUT', 'kv/colour', { token: writer, body: { value: 'hunter3', ifRevision: 0 } })).toBe(409)
    expect(await call('DELETE', 'kv/none', { token: writer })).toBe(404)
    expect(await call('GET', 'kv/colour', { token: writer })).toBe(200)
    expect(await call('GET', 'status', { token: reader })).toBe(200)
    const caller = { kind: 'token', name: 'writer' }
    const put = { caller, action: 'PUT /_cluster/v1/kv/*', target: 'colour', parameters: { ifRevision: 0 }, count: 1 }
    expect(records).toMatchObject([
      { ...put, addresses: ['10.0.0.9'], result: 'done', statusCode: 200, code: null },
      { ...put, result: 'failed', statusCode: 409, code: 'RAFT_REVISION_MISMATCH' },
      { caller, action: 'DELETE /_cluster/v1/kv/*', target: 'none', result: 'failed', statusCode: 404, code: 'RAFT_KEY_NOT_FOUND' }
    ])
    for (const { durationMs } of records) expect(durationMs).toBeGreaterThanOrEqual(0)
    // At debug: a line for each write would cost half as much as the write.
    expect(auditLines(lines)).toMatchObject(records.map((record) =>
      ({ ...record, msg: 'a change was asked for', nodeId: 'n1', level: 20 })))
    const text = JSON.stringify([records, lines])
    for (const secret of [reader, writer, operator, 'hunter']) expect(text).not.toContain(secret)
  })

  it('makes no record of a write of data that nobody gets, and begins when somebody listens', async () => {
    const lines: string[] = []
    const stream = { write: (line: string) => { lines.push(line) } }
    const { app } = await fakeApp({}, undefined, { logger: { level: 'info', stream } })
    const put = async (): Promise<number> =>
      (await app.inject({ method: 'PUT', url: '/_cluster/v1/kv/colour', payload: { value: 1 } })).statusCode
    expect(await put()).toBe(200)
    const records: AuditRecord[] = []
    app.cluster.on('audit', (record) => { records.push(record) })
    expect(await put()).toBe(200)
    await until('the second one is told', () => records.length === 1)
    expect(records).toMatchObject([{ action: 'PUT /_cluster/v1/kv/*', target: 'colour', result: 'done' }])
    expect(lines.filter((line) => line.includes('"audit"'))).toEqual([])
  })

  it.each([
    ['debug', false, true], ['info', false, false], ['info', true, true], [null, false, true]
  ] as const)('with a log of level %s and a listener: %s, writes of data are told: %s', (level, isHeard, isTold) => {
    const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
    const logger = level === null ? silent : { ...silent, isLevelEnabled: (asked: string) => asked === level }
    const audit = new Audit({ logger, timers: systemTimers, deliver: () => {}, isHeard: () => isHeard })
    expect(audit.tellsData).toBe(isTold)
  })

  it('has every admin call, malformed ones and refused web pages included', async () => {
    const { app, call, records } = await audited(withTokens)
    const member = { id: 'n2', url: 'http://127.0.0.1:2', incarnation: 'x', secret: 'hunter2' }
    expect(await call('POST', 'members', { token: operator, body: member })).toBe(400)
    expect(await call('POST', 'snapshot', { token: operator })).toBe(200)
    await call('DELETE', 'members/n7?ifVersion=12', { token: operator })
    const headers = { authorization: `Bearer ${operator}`, origin: 'http://evil.example' }
    await app.inject({ method: 'POST', url: '/_cluster/v1/leader/step-down', headers })
    expect(records).toMatchObject([
      {
        action: 'POST /_cluster/v1/members',
        target: 'n2',
        parameters: { url: 'http://127.0.0.1:2', incarnation: 'x' },
        result: 'failed',
        code: 'RAFT_INVALID_REQUEST'
      },
      { action: 'POST /_cluster/v1/snapshot', target: null, result: 'done' },
      { action: 'DELETE /_cluster/v1/members/:id', target: 'n7', parameters: { ifVersion: 12 }, result: 'failed' },
      { action: 'POST /_cluster/v1/leader/step-down', result: 'failed', statusCode: 403, code: 'RAFT_UNAUTHORIZED' }
    ])
    expect(JSON.stringify(records)).not.toContain('hunter2')
  })

  it('tells of refused calls once a minute for each code, with the address', async () => {
    const { app, call, records, lines } = await audited(withTokens)
    for (let guess = 0; guess < 50; guess++) {
      expect(await call('PUT', 'kv/x', { token: makeToken(), body: { value: 1 }, from: '10.6.6.6' })).toBe(401)
      expect(await call('POST', 'leader/step-down', { token: reader })).toBe(403)
    }
    expect(records).toMatchObject([
      {
        caller: { kind: 'anybody', name: null },
        addresses: ['10.6.6.6'],
        action: 'PUT /_cluster/v1/kv/*',
        result: 'refused',
        statusCode: 401,
        code: 'RAFT_UNAUTHENTICATED',
        count: 1
      },
      {
        caller: { kind: 'token', name: 'reader' },
        action: 'POST /_cluster/v1/leader/step-down',
        result: 'refused',
        statusCode: 403,
        code: 'RAFT_UNAUTHORIZED'
      }
    ])
    expect(auditLines(lines)).toMatchObject(records.map((record) => ({ ...record, msg: 'calls were refused', level: 40 })))
    expect(app.cluster.status.refusedCalls).toEqual({ unauthenticated: 50, unauthorized: 50 })
  })

  it.each<[string, ClusterOptions, AuditRecord['caller']]>([
    ['this machine', {}, { kind: 'loopback', name: null }],
    ['authorize with a name', { authorize: () => ({ name: 'ann' }) }, { kind: 'authorized', name: 'ann' }],
    ['authorize without one', { authorize: () => true }, { kind: 'authorized', name: null }],
    ['a long name', { authorize: () => ({ name: 'x'.repeat(999) }) }, { kind: 'authorized', name: 'x'.repeat(200) }]
  ])('names who asks: %s', async (_who, options, caller) => {
    const { call, records } = await audited(options)
    await call('PUT', 'kv/x', { body: { value: 1 } })
    expect(records).toMatchObject([{ caller, result: 'done' }])
  })

  it('names anybody where insecure lets everybody in, and a member that has proven itself', async () => {
    const open = await audited({ insecure: true })
    await open.call('PUT', 'kv/x', { body: { value: 1 }, from: '10.0.0.5' })
    expect(open.records).toMatchObject([{ caller: { kind: 'anybody', name: null }, addresses: ['10.0.0.5'] }])
    const records: AuditRecord[] = []
    const { app } = await fakeApp(withTokens, (declared) => {
      declared.cluster.on('audit', (record) => { records.push(record) })
    }, { rewriteUrl: (raw) => { noteCaller(raw, { kind: 'member', id: 'n2' }); return raw.url ?? '' } })
    await app.inject({ method: 'POST', url: '/_cluster/v1/snapshot' })
    expect(records).toMatchObject([{ caller: { kind: 'member', name: 'n2' }, result: 'done' }])
  })

  it('cuts long keys and texts', async () => {
    const { call, records } = await audited({})
    await call('PUT', `kv/${'k'.repeat(500)}`, { body: { value: 1 } })
    await call('POST', 'members', { body: { id: 'n2', url: `http://${'u'.repeat(5_000)}` } })
    expect(records.map(({ target, parameters }) => [target?.length, String(parameters['url'] ?? '').length]))
      .toEqual([[200, 0], [2, 200]])
  })

  it('has what the application asks app.cluster for', async () => {
    const nodes = await clusterOfThree(async (app, options) => { await app.register(cluster, options) })
    await wholeMembership(nodes)
    const leader = await agreedLeader(nodes)
    const other = nodes.find((node) => node !== leader) ?? leader
    const records: AuditRecord[] = []
    leader.app.cluster.on('audit', (record) => { records.push(record) })
    await leader.app.cluster.addMember({ id: 'n9', url: 'http://127.0.0.1:9' })
    await leader.app.cluster.removeMember('n9')
    await expect(leader.app.cluster.removeMember('n8', { ifVersion: 1 })).rejects.toThrow('version')
    await leader.app.cluster.transferLeadership(other.id)
    await until('all are told', () => records.length === 4)
    const caller = { kind: 'application', name: null }
    const about = { caller, addresses: [], statusCode: null, count: 1 }
    expect(records).toMatchObject([
      { ...about, action: 'addMember', target: 'n9', parameters: { url: 'http://127.0.0.1:9' }, result: 'done', code: null },
      { ...about, action: 'removeMember', target: 'n9', result: 'done' },
      { ...about, action: 'removeMember', target: 'n8', parameters: { ifVersion: 1 }, code: 'RAFT_VERSION_MISMATCH' },
      { ...about, action: 'transferLeadership', target: other.id, result: 'done' }
    ])
    // Over HTTP it is the route that tells, and the application has asked for nothing.
    const byRoute: AuditRecord[] = []
    other.app.cluster.on('audit', (record) => { byRoute.push(record) })
    await fetch(`${other.url}/_cluster/v1/leader/transfer`, { method: 'POST' })
    await until('it is told', () => byRoute.length > 0)
    expect(byRoute).toMatchObject([{ caller: { kind: 'loopback' }, action: 'POST /_cluster/v1/leader/transfer' }])
  })

  it('is not hurt by a listener that throws, nor is the call', async () => {
    const { app, call, records, lines } = await audited({})
    app.cluster.on('audit', () => { throw new Error('broken listener') })
    const rejecting: () => unknown = () => Promise.reject(new Error('broken listener'))
    app.cluster.on('audit', rejecting)
    expect(await call('PUT', 'kv/x', { body: { value: 1 } })).toBe(200)
    expect(await call('PUT', 'kv/x', { body: { value: 2 } })).toBe(200)
    expect(records).toHaveLength(2)
    expect(lines.filter(({ msg }) => msg === 'a listener of the cluster threw')).toHaveLength(4)
  })
})
