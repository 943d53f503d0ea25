import { describe, expect, it } from 'vitest'
import { resolveOptions } from '../../../src/plugin/options/options.ts'
import { plainTls } from '../../../src/raft/internal.ts'
import { faultsOf } from '../support/option-faults.ts'

const members = ['n1', 'n2', 'n3'].map((id, index) => ({ id, url: `http://127.0.0.1:${4001 + index}` }))

describe('options', () => {
  it('make a cluster of one in memory when nothing is given', () => {
    for (const nothing of [undefined, {}]) {
      expect(resolveOptions(nothing)).toEqual({
        id: 'n1',
        clusterId: 'default',
        members: [{ id: 'n1', url: '' }],
        join: null,
        url: '',
        publicUrl: null,
        dataDir: null,
        minFreeBytes: 67_108_864,
        prefix: '/_cluster',
        secret: null,
        tokens: null,
        authorize: null,
        leaveOnClose: false,
        insecure: false,
        remoteMembers: false,
        tls: { inputs: { texts: {}, files: {}, expected: null }, material: plainTls.current, nameForm: 'any', gateways: [] },
        adminHeaders: {},
        openApi: false,
        debugHashes: false,
        heartbeatMs: 100,
        electionTimeoutMinMs: 500,
        electionTimeoutMaxMs: 1000,
        requestTimeoutMs: 5000,
        closeTimeoutMs: 8_000,
        sessionTtlMs: 3_600_000,
        processSessionTtlMs: 10_000,
        idempotency: { horizonMs: 600_000, maxBytes: 268_435_456 },
        maxLagMs: 10_000,
        snapshots: {
          everyEntries: 20_000,
          everyBytes: 67_108_864,
          trailingEntries: 10_000,
          trailingBytes: 16_777_216,
          bytesPerSecond: 33_554_432
        },
        forward: { waitForLeaderMs: 3000, timeoutMs: 30000, maxWaiting: 1000, informational: true }
      })
    }
  })

  it('keep what is given, with normalized URLs', () => {
    const resolved = resolveOptions({
      id: 'n2',
      members: [...members.slice(0, 2), { id: 'n3', url: 'HTTP://LOCALHOST:80/' }],
      dataDir: './data',
      forward: { maxWaiting: 5 }
    })
    expect(resolved).toMatchObject({ id: 'n2', dataDir: './data', forward: { maxWaiting: 5, timeoutMs: 30000 } })
    expect(resolved.members[2]).toEqual({ id: 'n3', url: 'http://localhost' })
  })

  it('of a node that joins have normalized URLs and no members', () => {
    expect(resolveOptions({ id: 'n4', url: 'HTTP://LOCALHOST:80/', join: ['http://127.0.0.1:4001/'] })).toMatchObject({
      id: 'n4',
      url: 'http://localhost',
      join: ['http://127.0.0.1:4001'],
      members: []
    })
    expect(
      resolveOptions({ id: 'n4', url: 'http://10.0.0.4', join: ['http://10.0.0.1'], insecure: true })
    ).toMatchObject({ url: 'http://10.0.0.4' })
    expect(resolveOptions({ id: 'n2', members })).toMatchObject({ join: null, url: 'http://127.0.0.1:4002' })
  })

  it('take undefined for left out', () => {
    expect(resolveOptions({ id: undefined, dataDir: undefined, forward: undefined })).toMatchObject({
      id: 'n1',
      dataDir: null
    })
  })

  it('do not change the input', () => {
    const input = Object.freeze({
      id: 'n1',
      members: Object.freeze([Object.freeze({ id: 'n1', url: 'http://127.0.0.1:4001/' })])
    })
    expect(resolveOptions(input).members).toEqual([{ id: 'n1', url: 'http://127.0.0.1:4001' }])
  })

  it.each([
    [
      'an unknown option, with the one meant',
      { heartBeatMs: 100 },
      'heartBeatMs is not a known option; did you mean "heartbeatMs"?'
    ],
    ['an unknown option that resembles nothing', { zzzzzzzzzz: 1 }, 'zzzzzzzzzz is not a known option'],
    ['a short secret', { secret: 'x' }, 'secret must be random bytes'],
    [
      'an unknown nested option',
      { forward: { timeout: 1 } },
      'forward.timeout is not a known option; did you mean "timeoutMs"?'
    ],
    [
      'an unknown option of a member',
      { id: 'n1', members: [{ id: 'n1', url: 'http://127.0.0.1:1', uri: '' }] },
      'members[0].uri is not a known option; did you mean "url"?'
    ],
    ['a member without url', { id: 'n1', members: [{ id: 'n1' }] }, 'members[0].url is required'],
    ['a wrong type', { heartbeatMs: '100' }, 'heartbeatMs must be integer'],
    ['a lag that no cluster keeps', { maxLagMs: 99 }, 'maxLagMs must be >= 100'],
    ['a close without an end', { closeTimeoutMs: Infinity }, 'closeTimeoutMs must be integer'],
    ['sessions that end while a command is under way', { sessionTtlMs: 9_999 }, 'sessionTtlMs must be >= 10000'],
    ['sessions that stay for ever', { sessionTtlMs: 86_400_001 }, 'sessionTtlMs must be <= 86400000'],
    ['keys forgotten before they are repeated', { idempotency: { horizonMs: 999 } }, 'idempotency.horizonMs must be >= 1000'],
    ['keys kept for ever', { idempotency: { horizonMs: 604_800_001 } }, 'idempotency.horizonMs must be <= 604800000'],
    ['no room for keys', { idempotency: { maxBytes: 65_535 } }, 'idempotency.maxBytes must be >= 65536'],
    ['a number of keys', { idempotency: { maxKeys: 1 } }, 'idempotency.maxKeys'],
    ['processes that are gone at once', { processSessionTtlMs: 999 }, 'processSessionTtlMs must be >= 1000'],
    ['processes that stay', { processSessionTtlMs: 3_600_001 }, 'processSessionTtlMs must be <= 3600000'],
    ['sessions of an unknown length', { sessionTtlMs: '1h' }, 'sessionTtlMs must be integer'],
    ['a fraction of a millisecond', { requestTimeoutMs: 1.5 }, 'requestTimeoutMs must be integer'],
    ['an array', [], 'must be an object'],
    ['a string', 'n1', 'must be an object'],
    ['members that are no list', { id: 'n1', members: {} }, 'members must be an array'],
    ['no members', { id: 'n1', members: [] }, 'members must have at least 1 item'],
    ['an id that is not among the members', { id: 'n9', members }, 'id "n9" is not one of the members (n1, n2, n3)'],
    ['members without an id', { members }, 'id is required together with members'],
    ['an id that cannot stand in a header', { id: 'n 1;' }, 'id must be 1 to 64 letters'],
    [
      'duplicate ids',
      { id: 'n1', members: [members[0], { id: 'n1', url: 'http://127.0.0.1:4009' }] },
      'members[1].id "n1" is that of members[0] already'
    ],
    [
      'duplicate URLs, however they are spelled',
      { id: 'n1', members: [members[0], { id: 'n2', url: 'HTTP://127.0.0.1:4001/' }] },
      'members[1].url "http://127.0.0.1:4001" is that of members[0] already'
    ],
    [
      'members and join',
      { id: 'n1', members, join: ['http://127.0.0.1:4009'], url: 'http://127.0.0.1:4001' },
      'join must not be given together with members'
    ],
    [
      'join without an id',
      { join: ['http://127.0.0.1:4009'], url: 'http://127.0.0.1:4001' },
      'id is required together with join'
    ],
    ['join without a url', { id: 'n4', join: ['http://127.0.0.1:4009'] }, 'url is required together with join'],
    ['a url without join', { id: 'n1', url: 'http://127.0.0.1:4001' }, 'url goes together with join only'],
    ['a url beside members', { id: 'n1', members, url: 'http://127.0.0.1:4001' }, 'url goes together with join only'],
    ['nobody to join', { id: 'n4', join: [], url: 'http://127.0.0.1:4001' }, 'join must have at least 1 item'],
    [
      'to join oneself',
      { id: 'n4', join: ['http://127.0.0.1:4009', 'http://127.0.0.1:4001/'], url: 'http://127.0.0.1:4001' },
      'join[1] http://127.0.0.1:4001 is this node itself'
    ],
    [
      'to join what is no node',
      { id: 'n4', join: ['http://127.0.0.1:4009/path'], url: 'http://127.0.0.1:4001' },
      'join[0] must not have a path'
    ],
    ['to be reached at what is no URL', { id: 'n4', join: ['http://127.0.0.1:4009'], url: 'n4' }, 'url is not a URL'],
    [
      'to join beyond this machine',
      { id: 'n4', join: ['http://10.0.0.1'], url: 'http://10.0.0.4' },
      'join[0] http://10.0.0.1 is not on this machine'
    ],
    [
      'to be reached beyond this machine',
      { id: 'n4', join: ['http://10.0.0.1'], url: 'http://10.0.0.4' },
      'url http://10.0.0.4 is not on this machine'
    ],
    [
      'an election timeout of three heartbeats',
      { heartbeatMs: 100, electionTimeoutMinMs: 300 },
      'electionTimeoutMinMs must be above three heartbeats (300)'
    ],
    [
      'heartbeats slower than the default election timeout allows',
      { heartbeatMs: 200 },
      'electionTimeoutMinMs must be above three heartbeats (600)'
    ],
    [
      'no room between the election timeouts',
      { electionTimeoutMinMs: 500, electionTimeoutMaxMs: 500 },
      'electionTimeoutMaxMs must be above electionTimeoutMinMs (500)'
    ],
    ['a prefix without a slash', { prefix: 'cluster' }, 'prefix must be a path such as /_cluster'],
    ['a prefix that climbs', { prefix: '/../x' }, 'prefix must be a path such as /_cluster'],
    ['a prefix with a slash at its end', { prefix: '/cluster/' }, 'prefix must be a path such as /_cluster'],
    ['an empty data directory', { dataDir: '' }, 'dataDir must not have fewer than 1 characters']
  ])('refuse %s', (_what, options, fault) => {
    expect(faultsOf(options)).toContain(fault)
  })

  it.each([
    ['no URL', 'not a url', 'is not a URL'],
    ['another scheme', 'ftp://127.0.0.1:1', 'must start with http:// or https://'],
    ['a host without a scheme', '127.0.0.1:4001', 'is not a URL'],
    ['a path', 'http://127.0.0.1:1/app', 'must not have a path'],
    ['a query', 'http://127.0.0.1:1?a=1', 'must be scheme, host and port'],
    ['an empty query', 'http://127.0.0.1:1/?', 'must be scheme, host and port'],
    ['a fragment', 'http://127.0.0.1:1#a', 'must be scheme, host and port'],
    ['a user name', 'http://me@127.0.0.1:1', 'must not contain a user name or password'],
    ['missing slashes', 'http:127.0.0.1:1', 'must be scheme, host and port'],
    ['port 0', 'http://127.0.0.1:0', 'must have a port']
  ])('refuse a member URL with %s', (_what, url, fault) => {
    expect(faultsOf({ id: 'n1', members: [{ id: 'n1', url }] })).toContain(`members[0].url ${fault}`)
  })

  it('refuse members beyond this machine unless insecure: true says so', () => {
    const remote = [
      { id: 'n1', url: 'http://10.0.0.1:3000' },
      { id: 'n2', url: 'http://127.0.0.1:3000' },
      { id: 'n3', url: 'http://localhost.example:3000' }
    ]
    const message = faultsOf({ id: 'n1', members: remote })
    expect(message).toContain('members[0].url http://10.0.0.1:3000 is not on this machine')
    expect(message).toContain('members[2].url')
    expect(message).not.toContain('members[1].url')
    expect(message).toContain('insecure: true')
    expect(resolveOptions({ id: 'n1', members: remote, insecure: true }).members).toHaveLength(3)
    expect(resolveOptions({ id: 'n1', members: remote.slice(0, 1) }).members).toHaveLength(1)
    const local = ['http://localhost:1', 'http://[::1]:1', 'http://127.8.8.8:1'].map((url, index) => ({
      id: `n${index + 1}`,
      url
    }))
    expect(resolveOptions({ id: 'n1', members: local }).members).toHaveLength(3)
  })

  it('name every fault at once', () => {
    const unknown = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`unknown${index}`, 1]))
    const message = faultsOf({
      ...unknown,
      heartbeatMs: 0,
      requestTimeoutMs: 'long',
      prefix: 'x',
      insecure: 'no',
      electionTimeoutMinMs: 700,
      electionTimeoutMaxMs: 600,
      forward: { maxWaiting: -1, waitForLeaderMs: {} },
      id: 'n9',
      members: [{ id: 'n1', url: 'http://a.example' }, { id: 'n1', url: 'nonsense' }]
    })
    for (const path of [
      ...Object.keys(unknown),
      'heartbeatMs',
      'requestTimeoutMs',
      'prefix',
      'insecure',
      'forward.maxWaiting',
      'forward.waitForLeaderMs',
      'id "n9"',
      'members[1].id',
      'members[1].url',
      'members[0].url'
    ]) {
      expect(message).toContain(`\n  - ${path} `)
    }
  })

  it('are not fooled by the names of an object\'s own machinery', () => {
    expect(faultsOf(JSON.parse('{"__proto__": {"insecure": true}, "constructor": 1}'))).toContain(
      '__proto__ is not a known option'
    )
    expect(resolveOptions(Object.create({ insecure: true })).insecure).toBe(false)
  })
})
