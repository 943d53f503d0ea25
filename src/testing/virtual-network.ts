import type { Server } from 'node:http'
import { Duplex } from 'node:stream'
import type { Connector, Timers } from '../raft/internal.ts'
import type { VirtualTime } from './virtual-time.ts'

/** How long a connection to a copy that cannot be reached is tried, in milliseconds. */
const connectTimeoutMs = 1_000

/** A copy as the network knows it. */
interface Host {
  readonly id: string
  /** Host and port of its URL. */
  readonly address: string
  readonly timers: () => Timers
  /** Null while nothing listens there. */
  server: Server | null
  isPaused: boolean
  /** Whether it was killed: nothing comes from it any more either. */
  isCut: boolean
}

/**
 * Connections between copies in memory: HTTP is spoken on them as on sockets, by the same clients and servers. What is
 * cut off or paused gets nothing, and learns nothing: bytes wait, as on a network that repeats them.
 */
export class VirtualNetwork {
  readonly #time: VirtualTime
  readonly #hosts = new Map<string, Host>()
  readonly #wires = new Set<Wire>()
  /** The group of each copy while the network is parted; copies of one group reach each other. */
  #groups: ReadonlyMap<string, number> = new Map()

  constructor (time: VirtualTime) {
    this.#time = time
  }

  add (id: string, url: string, timers: () => Timers): void {
    this.#hosts.set(id, { id, address: new URL(url).host, timers, server: null, isPaused: false, isCut: false })
  }

  /** This copy takes connections from now on. */
  listen (id: string, server: Server): void {
    this.#host(id).server = server
  }

  /** A copy is made there anew, and calls others already. */
  restore (id: string): void {
    this.#host(id).isCut = false
  }

  /** Nothing is there any more: connections are refused, and those that were open are reset. */
  remove (id: string): void {
    Object.assign(this.#host(id), { server: null, isCut: true })
    for (const wire of [...this.#wires]) {
      if (wire.from === id || wire.to === id) wire.destroy(refusal('ECONNRESET', 'the other end is gone'))
    }
  }

  setPaused (id: string, isPaused: boolean): void {
    this.#host(id).isPaused = isPaused
    if (!isPaused) this.#flush()
  }

  /** Parts the network. A copy in none of the groups is alone. */
  part (groups: readonly (readonly string[])[]): void {
    this.#groups = new Map([...this.#hosts.keys()].map((id, position) => {
      const group = groups.findIndex((ids) => ids.includes(id))
      return [id, group === -1 ? groups.length + position : group]
    }))
  }

  /** All reach each other again. */
  heal (): void {
    this.#groups = new Map()
    this.#flush()
  }

  /** Opens the connections of one copy. */
  connectorOf (from: string): Connector {
    return (options, callback) => {
      const address = `${options.hostname}:${options.port}`
      const host = [...this.#hosts.values()].find((known) => known.address === address)
      this.#time.noteActivity()
      queueMicrotask(() => {
        if (host === undefined || this.#host(from).isCut) callback(refusal('ECONNREFUSED', 'nobody is there'), null)
        else if (this.#reach(from, host.id)) this.#connect(from, host, callback)
        else this.#tryLater(from, host, callback)
      })
    }
  }

  /** Whether what is sent arrives now. */
  delivers (from: string, to: string): boolean {
    return this.#reach(from, to) && !this.#host(from).isPaused && !this.#host(to).isPaused
  }

  noteActivity (): void {
    this.#time.noteActivity()
  }

  forget (wire: Wire): void {
    this.#wires.delete(wire)
  }

  #connect (from: string, host: Host, callback: Parameters<Connector>[1]): void {
    const { server } = host
    if (server === null) {
      callback(refusal('ECONNREFUSED', 'nobody listens there'), null)
      return
    }
    const [near, far] = [new Wire(this, from, host.id), new Wire(this, host.id, from)]
    near.join(far)
    far.join(near)
    for (const wire of [near, far]) this.#wires.add(wire)
    server.emit('connection', far)
    // undici takes any stream; its types know sockets alone.
    callback(null, near as unknown as Parameters<Parameters<Connector>[1]>[1] & object)
  }

  /** On a network a connection is tried again and again, and comes about if the way is open in time. */
  #tryLater (from: string, host: Host, callback: Parameters<Connector>[1]): void {
    const timers = this.#host(from).timers()
    const retryMs = 50
    let leftMs = connectTimeoutMs
    const retry = (): void => {
      leftMs -= retryMs
      if (this.#reach(from, host.id)) this.#connect(from, host, callback)
      else if (leftMs > 0) timers.after(retryMs, retry)
      else callback(refusal('ETIMEDOUT', 'it cannot be reached'), null)
    }
    timers.after(retryMs, retry)
  }

  #flush (): void {
    for (const wire of [...this.#wires]) wire.flush()
  }

  #reach (from: string, to: string): boolean {
    return this.#groups.get(from) === this.#groups.get(to)
  }

  #host (id: string): Host {
    const host = this.#hosts.get(id)
    if (host === undefined) throw new Error(`there is no copy ${id}`)
    return host
  }
}

function refusal (code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code })
}

/** One end of a connection in memory, with what HTTP clients and servers ask of a socket. */
class Wire extends Duplex {
  readonly from: string
  readonly to: string
  readonly remoteAddress = '127.0.0.1'
  readonly remoteFamily = 'IPv4'
  readonly remotePort = 0
  readonly localAddress = '127.0.0.1'
  readonly localPort = 0
  readonly #network: VirtualNetwork
  #peer: Wire | null = null
  /** What waits for the way to be open; null stands for the end. */
  #held: Array<Buffer | null> = []
  /** Goes on with writing once the other end has read. */
  #resume: (() => void) | null = null
  #isReset = false

  constructor (network: VirtualNetwork, from: string, to: string) {
    super({ allowHalfOpen: true })
    this.#network = network
    this.from = from
    this.to = to
  }

  join (peer: Wire): void {
    this.#peer = peer
  }

  /** The way may be open again. */
  flush (): void {
    if (!this.#network.delivers(this.from, this.to)) return
    for (const chunk of this.#held.splice(0)) this.#deliver(chunk)
    if (this.#isReset && !this.destroyed) this.destroy(refusal('ECONNRESET', 'the other end has closed'))
  }

  override _read (): void {
    this.#peer?.goOn()
  }

  override _write (chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#send(chunk)) done()
    else this.#resume = done
  }

  override _final (done: () => void): void {
    this.#send(null)
    done()
  }

  override _destroy (error: Error | null, done: (error: Error | null) => void): void {
    this.#network.forget(this)
    this.#network.noteActivity()
    const peer = this.#peer
    this.#peer = null
    // One that has ended has said so, and the other end reads what it was sent before.
    peer?.lose(!this.writableFinished)
    done(error)
  }

  /** The other end is gone, without an end of what it sent when it `isReset`. */
  lose (isReset: boolean): void {
    this.#peer = null
    this.#isReset = isReset
    this.goOn()
    if (isReset) queueMicrotask(() => { this.flush() })
  }

  goOn (): void {
    const resume = this.#resume
    this.#resume = null
    resume?.()
  }

  destroySoon (): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => { this.destroy() })
  }

  // A connection in memory has no timers and needs no process to stay alive.
  setTimeout (): this { return this }
  setNoDelay (): this { return this }
  setKeepAlive (): this { return this }
  ref (): this { return this }
  unref (): this { return this }

  /** Returns false when the other end reads too slowly for more. */
  #send (chunk: Buffer | null): boolean {
    if (this.#held.length === 0 && this.#network.delivers(this.from, this.to)) return this.#deliver(chunk)
    this.#held.push(chunk)
    return true
  }

  #deliver (chunk: Buffer | null): boolean {
    this.#network.noteActivity()
    const peer = this.#peer
    return peer === null || peer.destroyed || peer.push(chunk) || chunk === null
  }
}
