import { BlockList, isIP } from 'node:net'
import type { Fault } from './schema-reader.ts'

/** Decides whether what a peer of a connection says about the client is believed. */
export type TrustsAddress = (address: string | undefined) => boolean

/** The names that Fastify's `trustProxy` has for ranges. */
const ranges = new Map<string, readonly string[]>([
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['linklocal', ['169.254.0.0/16', 'fe80::/10']],
  ['uniquelocal', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']]
])

/** Reads a list of addresses, ranges such as 10.0.0.0/8, and their names; reports what is none of them. */
export function readTrustedProxies (items: readonly unknown[], path: string, faults: Fault[]): TrustsAddress {
  const trusted = new BlockList()
  items.forEach((item, index) => {
    if (typeof item !== 'string') return
    const parts = ranges.get(item) ?? [item]
    if (!parts.every((part) => add(trusted, part))) {
      const message = `must be an address, a range such as 10.0.0.0/8, or one of ${[...ranges.keys()].join(', ')}`
      faults.push({ path: `${path}[${index}]`, message: `${message}, got ${JSON.stringify(item)}` })
    }
  })
  return (address) => isTrusted(trusted, address)
}

function add (trusted: BlockList, part: string): boolean {
  const [, address = '', digits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(part) ?? []
  const family = isIP(address)
  if (family === 0 || Number(digits ?? 0) > (family === 4 ? 32 : 128)) return false
  const type = family === 4 ? 'ipv4' : 'ipv6'
  if (digits === undefined) trusted.addAddress(address, type)
  else trusted.addSubnet(address, Number(digits), type)
  return true
}

function isTrusted (trusted: BlockList, address: string | undefined): boolean {
  const plain = address?.split('%', 1)[0] ?? ''
  const family = isIP(plain)
  return family !== 0 && trusted.check(plain, family === 4 ? 'ipv4' : 'ipv6')
}
