import { describe, expect, it } from 'vitest'
import { isReservedTarget } from '../../../src/gateway/forward/reserved-target.ts'

describe('B18 cluster routes by any spelling', () => {
  it.each([
    '/_cluster',
    '/_cluster/',
    '/_cluster/v1/kv/a',
    '/_cluster?x',
    '/_cluster#x',
    '//_cluster',
    '/./_cluster',
    '///./_cluster/v1',
    '/_CLUSTER/v1',
    '/%5fcluster',
    '/%5Fcluster/v1',
    '/_%63luster',
    '/%255fcluster',
    '/%25255fcluster',
    '/_cluster%2fv1',
    '/_cluster%2Fv1',
    '/%2f_cluster',
    '/x/../_cluster',
    '/x/%2e%2e/_cluster',
    '/x/.%2E/_cluster',
    '/x%2f..%2f_cluster',
    '/x%252f%252e%252e%252f_cluster',
    '/_cluster;a=1/v1',
    '/_cluster;a=1',
    '/;x/_cluster',
    '/_cluster%3b/v1',
    '/_cluster%3Fx',
    '/\\_cluster',
    '\\_cluster',
    '/x\\..\\_cluster',
    '/%5c_cluster',
    '/_cluster%00',
    '/_cluster%20/v1',
    '/%09_cluster',
    '/_cluster%0d%0a',
    'http://app.test/_cluster/v1',
    'HTTP://app.test//_cluster',
    'https://user@app.test:1/x/../_cluster',
    '/a/b/../../_cluster',
    '/a//../_cluster',
    '/_cluster/x/..',
    '/x/..;/_cluster',
    '/../_cluster',
    '/x/../../_cluster/'
  ])('%j is reserved', (target) => {
    expect(isReservedTarget(target, '/_cluster')).toBe(true)
  })

  it.each([
    '/',
    '/orders',
    '/orders?next=/_cluster',
    '/orders?x=%2e%2e%2f_cluster',
    '/_clusters',
    '/_cluster2/x',
    '/my_cluster',
    '/x/_cluster',
    '/a/../b',
    '/a%2Fb',
    '//x',
    '/%zz',
    '/%',
    '/a?b=%zz',
    '*',
    'http://_cluster/orders',
    '/caf%C3%A9'
  ])('%j is not', (target) => {
    expect(isReservedTarget(target, '/_cluster')).toBe(false)
  })

  it('holds for a prefix of several segments, given in any case', () => {
    expect(isReservedTarget('/internal/%52aft/x', '/Internal/raft')).toBe(true)
    expect(isReservedTarget('/internal', '/Internal/raft')).toBe(false)
  })

  it('refuses targets that are encoded in too many layers', () => {
    expect(isReservedTarget(`/%${'25'.repeat(20)}41`, '/_cluster')).toBe(true)
  })
})
