import { describe, expect, it } from 'vitest'
import type { Fault } from '../../../src/gateway/options/schema-reader.ts'
import { readTrustedProxies } from '../../../src/gateway/options/trusted-proxies.ts'

function trusting (...items: string[]): (address: string | undefined) => boolean {
  const faults: Fault[] = []
  const trusts = readTrustedProxies(items, 'trustProxy', faults)
  expect(faults).toEqual([])
  return trusts
}

describe('trusted proxies', () => {
  it.each([
    ['10.1.2.3', ['10.1.2.3', '::ffff:10.1.2.3'], ['10.1.2.4', '::1']],
    ['10.0.0.0/8', ['10.255.0.1', '::ffff:10.0.0.1'], ['11.0.0.1']],
    ['0.0.0.0/0', ['192.0.2.1'], ['2001:db8::1']],
    ['2001:db8::/32', ['2001:db8::1', '2001:DB8:1::'], ['2001:db9::1', '10.0.0.1']],
    ['loopback', ['127.0.0.5', '::1'], ['10.0.0.1']],
    ['linklocal', ['169.254.1.1', 'fe80::1%eth0'], ['10.0.0.1']],
    ['uniquelocal', ['192.168.1.1', '172.31.0.1', 'fd00::1'], ['172.32.0.1', '192.0.2.1']]
  ])('%s', (item, inside, outside) => {
    const trusts = trusting(item)
    expect(inside.filter((address) => !trusts(address))).toEqual([])
    expect(outside.filter(trusts)).toEqual([])
  })

  it('are nobody when the list is empty, and never somebody without an address', () => {
    expect(['127.0.0.1', '', undefined].filter(trusting())).toEqual([])
    expect(['', undefined, 'unknown'].filter(trusting('0.0.0.0/0', '::/0'))).toEqual([])
  })

  it.each(['', 'true', 'localhost', '10.0.0.0/33', '::/129', '10.0.0/8', '10.0.0.1/', '10.0.0.1:80', 'a/8'])(
    'refuses %j with its place',
    (item) => {
      const faults: Fault[] = []
      readTrustedProxies(['10.0.0.1', item], 'trustProxy', faults)
      expect(faults).toEqual([{ path: 'trustProxy[1]', message: expect.stringContaining('must be an address') as string }])
    }
  )
})
