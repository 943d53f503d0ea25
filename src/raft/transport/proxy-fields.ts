/** Fields that proxies add, beside the `x-forwarded-*` ones. */
const proxyFields: ReadonlySet<string> = new Set(['forwarded', 'via', 'x-real-ip'])

const forwardedPrefix = 'x-forwarded-'

/**
 * Whether a request says that a proxy passed it on. The address of its socket is then that of the proxy, and says
 * nothing about who sent it: what is for peers, or for clients on this machine, refuses it. A proxy can keep silent, so
 * the opposite proves nothing.
 *
 * `rawHeaders`: names and values in turn, as Node gives them.
 */
export function cameThroughProxy (rawHeaders: readonly string[]): boolean {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? ''
    if (proxyFields.has(name) || name.startsWith(forwardedPrefix)) return true
  }
  return false
}
