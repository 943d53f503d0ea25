import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import type { Direction } from './network-faults.ts'

/** The part of RFC 2544's addresses for tests of networks that these hosts use: 198.18.1.2, 198.18.2.2 and so on. */
const prefix = '198.18'
const firstPreference = 1_000

/**
 * Hosts in network namespaces of their own behind a router, which is the namespace of this process. The router drops
 * what one host sends to another; what this process sends is never dropped. Only within {@link runInNamespaces}.
 */
export class RoutedHosts {
  readonly #addresses: ReadonlyMap<string, string>
  #preferences: readonly number[] = []

  /** Makes one namespace for each name. */
  static async create (names: readonly string[]): Promise<RoutedHosts> {
    await writeFile('/proc/sys/net/ipv4/ip_forward', '1')
    await ip(names.flatMap((name, at) => linesOfHost(name, at + 1)))
    for (const [at, name] of names.entries()) {
      await ip([
        `address add ${prefix}.${at + 1}.2/24 dev eth0`,
        'link set lo up',
        'link set eth0 up',
        `route add default via ${prefix}.${at + 1}.1`
      ], name)
    }
    return new RoutedHosts(new Map(names.map((name, at) => [name, `${prefix}.${at + 1}.2`])))
  }

  private constructor (addresses: ReadonlyMap<string, string>) {
    this.#addresses = addresses
  }

  /** The address of a host. Throws when there is none of this name. */
  address (name: string): string {
    const address = this.#addresses.get(name)
    if (address === undefined) throw new Error(`There is no host ${name}`)
    return address
  }

  /** The address of the router on the network of a host. */
  router (name: string): string {
    return this.address(name).replace(/\.2$/, '.1')
  }

  /** Drops every packet in these directions from now on, silently and also within open connections. */
  async cut (directions: readonly Direction[]): Promise<void> {
    const first = firstPreference + this.#preferences.length
    const preferences = directions.map((_, at) => first + at)
    await ip(directions.map(({ from, to }, at) =>
      `rule add pref ${first + at} from ${this.address(from)} to ${this.address(to)} blackhole`))
    this.#preferences = [...this.#preferences, ...preferences]
  }

  /** Lets everything through again. */
  async heal (): Promise<void> {
    const preferences = this.#preferences
    this.#preferences = []
    await ip(preferences.map((preference) => `rule del pref ${preference}`))
  }
}

function linesOfHost (name: string, number: number): string[] {
  return [
    `netns add ${name}`,
    `link add r${number} type veth peer name eth0 netns ${name}`,
    `address add ${prefix}.${number}.1/24 dev r${number}`,
    `link set r${number} up`
  ]
}

/** Runs lines of `ip` in this namespace or another one. Rejects with what it printed when a line fails. */
async function ip (lines: readonly string[], namespace?: string): Promise<void> {
  const child = spawn('ip', [...(namespace === undefined ? [] : ['-netns', namespace]), '-batch', '-'], {
    stdio: ['pipe', 'ignore', 'pipe']
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
  child.stdin.end(`${lines.join('\n')}\n`)
  const [code] = await once(child, 'close') as [number | null]
  if (code !== 0) throw new Error(`ip failed: ${errors.trim()}`)
}
