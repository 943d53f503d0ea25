import { describe, expect, it } from 'vitest'
import {
  callHeaders,
  fieldValues,
  passedThrough,
  requestHeaders,
  responseHeaders
} from '../../../src/gateway/forward/header-rules.ts'

const context = {
  viaName: 'n1.test',
  httpVersion: '1.1',
  remoteAddress: '10.1.2.3',
  protocol: 'http',
  authority: null,
  own: { lines: ['raft-hop', 'v=1;from=n1;to=n2;term=7'], proof: null }
} as const

const [, hop] = context.own.lines
/** The same with a proof. */
const proven = { ...context.own, proof: { field: 'p', isAnswered: () => true, isRefused: () => true } }

function sent (
  raw: string[],
  changes: Partial<Parameters<typeof requestHeaders>[1]> = {}
): { raw: string[]; of: (name: string) => string[] } {
  const result = requestHeaders(raw, { ...context, ...changes })
  return { raw: result, of: (name) => fieldValues(result, name) }
}

describe('request header rules', () => {
  it('B2 Connection cannot strip added fields, nor fields meant for the leader', () => {
    const { of } = sent([
      'Host',
      'app.test',
      'Connection',
      'close, raft-hop, X-Forwarded-For, Forwarded, Via, host, content-length, Authorization, X-Secret',
      'Content-Length',
      '3',
      'Authorization',
      'Bearer x',
      'X-Secret',
      'hop-by-hop',
      'X-Forwarded-For',
      '1.1.1.1'
    ])
    expect(of('connection')).toEqual([])
    expect(of('x-secret')).toEqual([])
    expect(of('raft-hop')).toEqual([hop])
    expect(of('x-forwarded-for')).toEqual(['1.1.1.1, 10.1.2.3'])
    expect(of('forwarded')).toHaveLength(1)
    expect(of('via')).toEqual(['1.1 n1.test'])
    expect(of('host')).toEqual(['app.test'])
    expect(of('content-length')).toEqual(['3'])
    expect(of('authorization')).toEqual(['Bearer x'])
  })

  it('B3 drops the fields of one connection, whatever their case', () => {
    const dropped = [
      'TE',
      'trailer',
      'Keep-Alive',
      'PROXY-CONNECTION',
      'Proxy-Authorization',
      'Proxy-Authenticate',
      'Upgrade',
      'Transfer-Encoding',
      'Expect'
    ]
    const { of } = sent(['Host', 'a', ...dropped.flatMap((name) => [name, 'x']), 'Accept', '*/*'])
    for (const name of dropped) expect(of(name.toLowerCase()), name).toEqual([])
    expect(of('accept')).toEqual(['*/*'])
  })

  it('B14 drops forged internal fields', () => {
    const { of } = sent(
      [
        'Host',
        'a',
        'Raft-Hop',
        'v=1;from=x;to=n2;term=7',
        'RAFT-Not-Executed',
        '1',
        'raft-term',
        '9',
        'raft-anything',
        'x'
      ],
      { own: { lines: [], proof: null } }
    )
    for (const name of ['raft-hop', 'raft-not-executed', 'raft-term', 'raft-anything']) {
      expect(of(name), name).toEqual([])
    }
  })

  it('passes on what the client has seen, the one such field that clients send', () => {
    const { of } = sent(['Host', 'a', 'Raft-Read-Token', '7;cluster=u-1', 'raft-read-token-x', '1'])
    expect(of('raft-read-token')).toEqual(['7;cluster=u-1'])
    expect(of('raft-read-token-x')).toEqual([])
  })

  it('B21 appends to the fields of earlier proxies, in one line each', () => {
    const { of } = sent([
      'Host',
      'app.test:8080',
      'X-Forwarded-For',
      '9.9.9.9',
      'x-forwarded-for',
      '8.8.8.8',
      'X-Forwarded-Proto',
      'https',
      'X-Forwarded-Host',
      'evil',
      'Forwarded',
      'for=9.9.9.9',
      'Via',
      '1.0 edge'
    ])
    expect(of('x-forwarded-for')).toEqual(['9.9.9.9, 8.8.8.8, 10.1.2.3'])
    expect(of('x-forwarded-proto')).toEqual(['https, http'])
    expect(of('x-forwarded-host')).toEqual(['evil, app.test:8080'])
    expect(of('forwarded')).toEqual(['for=9.9.9.9, for=10.1.2.3;host="app.test:8080";proto=http'])
    expect(of('via')).toEqual(['1.0 edge, 1.1 n1.test'])
  })

  it('B28 leaves the fields of earlier proxies as they came when the hop is proven, but for Via', () => {
    const came = ['X-Forwarded-For', '9.9.9.9', 'x-forwarded-for', '8.8.8.8', 'X-Forwarded-Proto', 'https']
    expect(sent(['Host', 'a', ...came, 'Via', '1.0 edge'], { own: proven }).raw).toEqual([
      ...came, 'host', 'a', 'via', '1.0 edge, 1.1 n1.test', 'raft-hop', hop
    ])
  })

  it('B28 keeps the word of a trusted proxy on protocol and host as the last one, and adds to the addresses', () => {
    const came = ['X-Forwarded-For', '9.9.9.9', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'app.test']
    const { of } = sent(['Host', 'a', ...came], { trustsClient: true })
    expect([of('x-forwarded-for'), of('x-forwarded-proto'), of('x-forwarded-host')]).toEqual([
      ['9.9.9.9, 10.1.2.3'], ['https'], ['app.test']
    ])
    const bare = sent(['Host', 'a'], { trustsClient: true })
    expect([bare.of('x-forwarded-proto'), bare.of('x-forwarded-host')]).toEqual([['http'], ['a']])
  })

  it('B21 lets no client speak for a proxy: such fields are replaced by what is true here, or left out', () => {
    const forged = [
      'X-Forwarded-Port', '1', 'X-Forwarded-Server', 'a', 'x-forwarded-prefix', '/admin', 'X-Forwarded-Ssl', 'on',
      'X-Real-IP', '127.0.0.1', 'True-Client-IP', '127.0.0.1', 'X-Original-URL', '/admin', 'Front-End-Https', 'on',
      'X-Client', 'kept'
    ]
    const { raw, of } = sent(forged, { trustsClient: false, localPort: 8080 })
    expect([of('x-forwarded-port'), of('x-real-ip'), of('x-client')]).toEqual([['8080'], ['10.1.2.3'], ['kept']])
    expect(raw.join(' ').toLowerCase()).not.toMatch(/server|prefix|ssl|true-client|original|front-end|admin/)
    // A proxy in front is believed, and a node passes on what its client would have sent to the leader.
    for (const trustsClient of [true, undefined]) {
      expect(sent(forged, { trustsClient, localPort: 8080 }).raw.slice(0, forged.length)).toEqual(forged)
    }
  })

  it('B21 writes IPv6 in quoted brackets, unwraps IPv4, and escapes a hostile Host', () => {
    expect(sent(['Host', 'a'], { remoteAddress: '2001:db8::1' }).of('forwarded')).toEqual([
      'for="[2001:db8::1]";host=a;proto=http'
    ])
    expect(sent(['Host', 'a'], { remoteAddress: '2001:db8::1' }).of('x-forwarded-for')).toEqual(['2001:db8::1'])
    expect(sent(['Host', 'a'], { remoteAddress: 'fe80::1%eth0' }).of('x-forwarded-for')).toEqual(['fe80::1'])
    expect(sent(['Host', 'a'], { remoteAddress: '::ffff:10.0.0.9' }).of('forwarded')).toEqual([
      'for=10.0.0.9;host=a;proto=http'
    ])
    expect(sent(['Host', 'a'], { remoteAddress: undefined }).of('x-forwarded-for')).toEqual(['unknown'])
    expect(sent(['Host', 'a";for=1.1.1.1;x="\\']).of('forwarded')).toEqual([
      'for=10.1.2.3;host="a\\";for=1.1.1.1;x=\\"\\\\";proto=http'
    ])
  })

  it('B21 keeps repeated field lines, their order and their case', () => {
    const { raw } = sent(['Host', 'a', 'X-One', '1', 'x-one', '2', 'X-ONE', '1'])
    expect(raw.slice(0, 6)).toEqual(['X-One', '1', 'x-one', '2', 'X-ONE', '1'])
  })

  it('B22 passes __proto__, constructor and bytes above ASCII like any other field', () => {
    const { of } = sent(['Host', 'a', '__proto__', 'x', 'constructor', 'y', 'X-Latin', 'caf\u00e9'])
    expect(of('__proto__')).toEqual(['x'])
    expect(of('constructor')).toEqual(['y'])
    expect(of('x-latin')).toEqual(['caf\u00e9'])
  })

  it('takes Host from an absolute-form target', () => {
    const { of } = sent(['Host', 'ignored'], { authority: 'real.test' })
    expect(of('host')).toEqual(['real.test'])
    expect(of('x-forwarded-host')).toEqual(['real.test'])
  })
})

describe('request header rules for HTTP/2', () => {
  const line = [':method', 'POST', ':path', '/x', ':scheme', 'https', ':authority', 'app.test:8443']

  it('B26 sends no pseudo field, and :authority as Host', () => {
    const { raw, of } = sent([...line, 'te', 'trailers', 'x-own', '1'], { httpVersion: '2.0', protocol: 'https' })
    expect(raw.filter((name, index) => index % 2 === 0 && name.startsWith(':'))).toEqual([])
    expect(raw.slice(0, 6)).toEqual(['te', 'trailers', 'x-own', '1', 'host', 'app.test:8443'])
    expect([of('x-forwarded-host'), of('x-forwarded-proto'), of('via')]).toEqual([
      ['app.test:8443'], ['https'], ['2.0 n1.test']
    ])
  })

  it('B26 :authority wins over Host, in either order', () => {
    expect(sent([...line, 'host', 'other']).of('host')).toEqual(['app.test:8443'])
    expect(sent(['host', 'other', ...line]).of('host')).toEqual(['app.test:8443'])
    expect(sent([':method', 'GET', 'host', 'other']).of('host')).toEqual(['other'])
  })

  it('B26 joins the parts of Cookie', () => {
    const { raw } = sent([...line, 'cookie', 'a=1', 'accept', '*/*', 'cookie', 'b=2', 'cookie', 'c=3'])
    expect(raw.slice(0, 4)).toEqual(['cookie', 'a=1; b=2; c=3', 'accept', '*/*'])
  })
})

describe('response header rules', () => {
  it('B2 B3 drops the fields of one connection and those that Connection names, never those of the cluster', () => {
    const raw = [
      'Connection',
      'keep-alive, X-Hop, raft-node, set-cookie',
      'Keep-Alive',
      'timeout=5',
      'X-Hop',
      '1',
      'raft-node',
      'n2',
      'Set-Cookie',
      'a=1',
      'Trailer',
      'x',
      'Upgrade',
      'h2c'
    ]
    expect(responseHeaders(raw, 200)).toEqual(['raft-node', 'n2', 'Set-Cookie', 'a=1'])
  })

  it('B14 drops the marker "not executed", which is for nodes only', () => {
    expect(responseHeaders(['raft-not-executed', '7', 'Raft-Not-Executed', '8', 'raft-term', '7'], 503)).toEqual([
      'raft-term',
      '7'
    ])
  })

  it('B21 keeps every set-cookie line', () => {
    const raw = ['Set-Cookie', 'a=1', 'set-cookie', 'b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT', 'Set-Cookie', 'a=1']
    expect(responseHeaders(raw, 200)).toEqual(raw)
  })

  it('drops a length that contradicts the framing', () => {
    expect(responseHeaders(['Content-Length', '5', 'Transfer-Encoding', 'chunked'], 200)).toEqual([])
    expect(responseHeaders(['Content-Length', '5'], 204)).toEqual([])
    expect(responseHeaders(['Content-Length', '5'], 304)).toEqual(['Content-Length', '5'])
  })
})

describe('loop detection', () => {
  it.each(['1.1 n1.test', '1.0 edge, 1.1 N1.TEST', 'HTTP/1.1 n1.test (comment)', 'x,1.1\tn1.test'])(
    'B13 finds our name in %j',
    (value) => {
      expect(passedThrough(['Via', value], 'n1.test')).toBe(true)
      expect(passedThrough(['Via', '1.0 other', 'via', value], 'n1.test')).toBe(true)
    }
  )

  it.each(['1.1 n1.test2', '1.1 other (n1.test)', 'n1.test', ''])('does not find it in %j', (value) => {
    expect(passedThrough(['Via', value], 'n1.test')).toBe(false)
  })
})

describe('the header of a call in the name of a client', () => {
  it('identifies the client by the rules of forwarded requests, and leaves out the client\'s message', () => {
    const own = ['Host', 'Content-Length', 'Content-Type', 'Accept-Encoding', 'Range', 'Origin', 'Via', 'Forwarded']
    const onTheWay = ['X-Forwarded-For', 'X-Real-Ip', 'TE', 'Expect', 'Raft-Hop', 'Raft-Term', ':path']
    const sent = callHeaders([
      ...[...own, ...onTheWay].flatMap((name) => [name, 'x']),
      'Connection', 'x-secret, authorization, cookie',
      'X-Secret', 'hop-by-hop',
      'Authorization', 'Bearer x',
      'Cookie', 'a=b',
      'X-Own', '1',
      'X-Own', '2'
    ], context.own)
    expect(sent).toEqual([
      'Authorization', 'Bearer x', 'Cookie', 'a=b', 'X-Own', '1', 'X-Own', '2', 'raft-hop', hop
    ])
  })

  it('B28 tells the client\'s way here when the hop is proven: the leader sees the client itself', () => {
    const way = ['X-Forwarded-For', '192.0.2.1', 'X-Real-Ip', '192.0.2.1', 'Forwarded', 'for=192.0.2.1']
    expect(callHeaders(['Host', 'a', ...way, 'Via', '1.1 edge'], proven)).toEqual([...way, 'raft-hop', hop])
  })
})
