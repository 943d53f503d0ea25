import { describe, expect, it, onTestFinished } from 'vitest'
import type { Seed } from '../../../src/gateway/options/seed.ts'
import { nodesToFollow } from '../../../src/gateway/standalone/followed-members.ts'
import type { NodeView } from '../../../src/gateway/standalone/node-probe.ts'
import { Seeds } from '../../../src/gateway/standalone/seeds.ts'
import { DnsServer } from '../../support/dns-server.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

interface Followed {
  readonly dns: DnsServer
  readonly seeds: Seeds
  readonly logger: MemoryLogger
  readonly urls: () => string[]
}

async function follow (...given: Seed[]): Promise<Followed> {
  const dns = await DnsServer.start()
  const logger = new MemoryLogger()
  const seeds = new Seeds({ seeds: given, dnsIntervalMs: 20, dnsServers: [dns.address], onChange: () => {}, logger })
  onTestFinished(async () => {
    seeds.stop()
    await dns.stop()
  })
  return { dns, seeds, logger, urls: () => seeds.nodes().map(({ url }) => url).sort() }
}

const addresses: Seed = { kind: 'addresses', origin: 'http://app.test:4001' }

describe('names of nodes', () => {
  it('stand for their addresses of both families, with the port of the seed, as these come and go', async () => {
    const { dns, seeds, urls } = await follow(addresses, { kind: 'url', origin: 'http://10.0.0.9:1' })
    dns.addresses.set('app.test', ['10.0.0.1', '10.0.0.2', '::1'])
    seeds.start()
    expect(urls()).toEqual(['http://10.0.0.9:1'])
    await until('they are found', () => urls().length === 4)
    expect(urls()).toEqual(['http://10.0.0.1:4001', 'http://10.0.0.2:4001', 'http://10.0.0.9:1', 'http://[::1]:4001'])
    dns.addresses.set('app.test', ['10.0.0.2', '10.0.0.3'])
    await until('they are found again', () => urls().includes('http://10.0.0.3:4001'))
    expect(urls()).toEqual(['http://10.0.0.2:4001', 'http://10.0.0.3:4001', 'http://10.0.0.9:1'])
  })

  it('stand for the targets of a service, with ports of their own', async () => {
    const { dns, seeds, urls } = await follow({ kind: 'services', origin: 'http://_app._tcp.test' })
    dns.services.set('_app._tcp.test', [{ name: 'n1.test', port: 4001 }, { name: 'n2.test', port: 4002 }])
    seeds.start()
    await until('they are found', () => urls().length === 2)
    expect(urls()).toEqual(['http://n1.test:4001', 'http://n2.test:4002'])
  })

  it('go on to count while the DNS fails or names nothing, which is said once', async () => {
    const { dns, seeds, urls, logger } = await follow(addresses)
    dns.addresses.set('app.test', ['10.0.0.1'])
    seeds.start()
    await until('it is found', () => urls().length === 1)
    for (const breakDns of [() => { dns.isBroken = true }, () => { dns.addresses.delete('app.test') }]) {
      breakDns()
      const before = dns.questions
      await until('it was asked often', () => dns.questions > before + 20)
      expect(urls()).toEqual(['http://10.0.0.1:4001'])
      dns.isBroken = false
    }
    const said = logger.lines.filter(({ message }) => message.includes('cannot be resolved'))
    expect(said.map(({ details }) => (details as { reason: string }).reason)).toEqual(['ESERVFAIL', 'ENOTFOUND'])
    expect(seeds.failureCount).toBeGreaterThan(2)
    dns.addresses.set('app.test', ['10.0.0.2'])
    await until('it is found again', () => urls()[0] === 'http://10.0.0.2:4001')
  })

  it('name the host that certificates have to name, where they stand for addresses', async () => {
    const { dns, seeds } = await follow({ kind: 'addresses', origin: 'https://app.test:4001' })
    dns.addresses.set('app.test', ['10.0.0.1'])
    seeds.start()
    await until('it is found', () => seeds.nodes().length === 1)
    expect(seeds.nodes()).toEqual([{ url: 'https://10.0.0.1:4001', serverName: 'app.test', source: 'dns' }])
  })
})

describe('the nodes that are followed', () => {
  const seed = (url: string) => ({ url, serverName: null, source: 'configured' }) as const
  const view = (
    url: string,
    id: string | null,
    clusterUuid: string | null,
    version = 0,
    members: string[][] = []
  ): NodeView => ({
    url,
    id,
    clusterUuid,
    clusterId: 'c',
    membership: members.length === 0 ? null : { version, members: members.map(([id = '', url = '']) => ({ id, url })) },
    hasTried: true,
    latencyMs: 1,
    isWatched: true,
    reachable: true,
    ready: true,
    claim: null
  })
  const urls = (...args: Parameters<typeof nodesToFollow>): string[] => nodesToFollow(...args).map(({ url }) => url)

  it('are the seeds, and the members of their cluster that no seed is', () => {
    const members = [['n1', 'http://inside:1'], ['n2', 'http://b:2'], ['n3', 'http://c:3/'], ['n4', '']]
    const views = [view('http://a:1', 'n1', 'u', 7, members), view('http://b:2', null, null)]
    // n1 is known by the URL that works from here, n2 is a seed by its URL.
    expect(urls([seed('http://a:1'), seed('http://b:2')], views, 'u')).toEqual(['http://a:1', 'http://b:2', 'http://c:3'])
  })

  it('are what the newest membership says, of this cluster alone', () => {
    const views = [
      view('http://a:1', 'n1', 'u', 7, [['n2', 'http://old:2']]),
      view('http://b:1', 'n2', 'u', 9, [['n3', 'http://new:3']]),
      view('http://x:1', 'n1', 'other', 99, [['n9', 'http://foreign:9']])
    ]
    const seeds = [seed('http://a:1'), seed('http://b:1'), seed('http://x:1')]
    expect(urls(seeds, views, 'u')).toEqual(['http://a:1', 'http://b:1', 'http://x:1', 'http://new:3'])
    expect(urls(seeds, views, null)).toEqual(['http://a:1', 'http://b:1', 'http://x:1'])
  })

  it('B17 are none at odd URLs, and none over http where all seeds are https; and they are bounded', () => {
    const odd = [
      ['n2', 'http://user:pass@b:2'], ['n3', 'file:///etc/passwd'], ['n4', 'http://b:2/path'], ['n5', 'nonsense'],
      ['n6', 'http://plain:6'], ['n7', 'https://b:7']
    ]
    expect(urls([seed('https://a:1')], [view('https://a:1', 'n1', 'u', 7, odd)], 'u')).toEqual(['https://a:1', 'https://b:7'])
    const many = Array.from({ length: 200 }, (_, at) => [`m${at}`, `http://m:${at + 1}`])
    expect(urls([seed('http://a:1')], [view('http://a:1', 'n1', 'u', 7, many)], 'u')).toHaveLength(64)
  })
})
