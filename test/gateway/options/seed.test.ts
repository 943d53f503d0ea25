import { describe, expect, it } from 'vitest'
import { readSeed, seedText } from '../../../src/gateway/options/seed.ts'

describe('a seed', () => {
  it.each([
    ['http://a:4001/', 'url', 'http://a:4001', 'http://a:4001'],
    ['dns+http://App.internal:4001', 'addresses', 'http://app.internal:4001', 'dns+http://app.internal:4001'],
    ['dns+https://app.internal', 'addresses', 'https://app.internal', 'dns+https://app.internal'],
    ['dnssrv+http://_app._tcp.internal', 'services', 'http://_app._tcp.internal', 'dnssrv+http://_app._tcp.internal']
  ])('%s is read', (text, kind, origin, again) => {
    const read = readSeed(text)
    expect(read).toEqual({ kind: 'ok', seed: { kind, origin } })
    if (read.kind === 'ok') expect(seedText(read.seed)).toBe(again)
  })

  it.each([
    ['dns+ftp://a', 'http:// or https://'],
    ['dns+http://a/path', 'path'],
    ['dns+http://user@a', 'user name'],
    ['dns+http://10.0.0.1:4001', 'a name behind dns+'],
    ['dns+http://[::1]:4001', 'a name behind dns+'],
    ['dnssrv+http://_app._tcp.internal:4001', 'must not have a port'],
    ['srv+http://a', 'http:// or https://'],
    ['dns+', 'is not a URL']
  ])('%s is refused', (text, message) => {
    expect(readSeed(text)).toEqual({ kind: 'fault', message: expect.stringContaining(message) as string })
  })
})
