import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Whether a socket's remote address is on this machine. An unknown one (a socket that is gone already) is not. */
export function isLoopbackAddress (address: string | undefined): boolean {
  // Asked with every request; a block list looks each address up anew.
  if (address === '127.0.0.1' || address === '::1') return true
  if (address === undefined) return false
  const family = isIP(address)
  if (family === 0) return false
  return loopback.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

/** Whether the host of a URL, as `URL.hostname` gives it, can only be this machine. */
export function isLoopbackHostname (hostname: string): boolean {
  return hostname === 'localhost' || isLoopbackAddress(hostname.replace(/^\[|\]$/g, ''))
}
