import type { Socket } from 'node:net'
import { connect } from 'node:net'

/** How connections misbehave. */
interface Misbehaviour {
  readonly connections: number
  /** What each sends at once. */
  readonly opening: string | Buffer
  /** What each sends again and again, until it is cut off. */
  readonly trickle?: { readonly piece: string, readonly everyMs: number }
  /** Leaves the answers unread. */
  readonly isDeaf?: boolean
  /** Sends the opening once more on a new connection as soon as it was answered or cut off. */
  readonly isFlood?: boolean
}

const firstLine = /^HTTP\/1\.1 (\d{3})/

/**
 * Clients that send slowly, do not read, or never stop. Where the system has more than one address of its own they come
 * from another one than good clients, as they would over a network.
 */
export class HostileClients {
  /** How often each status was answered. */
  readonly answers = new Map<number, number>()
  readonly #port: number
  readonly #sockets = new Set<Socket>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #isOver = false

  constructor (url: string) {
    this.#port = Number(new URL(url).port)
  }

  /** Connections that are open. */
  get open (): number { return this.#sockets.size }

  start (misbehaviour: Misbehaviour): this {
    for (let count = 0; count < misbehaviour.connections; count++) this.#connect(misbehaviour)
    const { trickle } = misbehaviour
    if (trickle !== undefined) {
      this.#timers.add(setInterval(() => {
        for (const socket of this.#sockets) if (socket.writable) socket.write(trickle.piece)
      }, trickle.everyMs))
    }
    return this
  }

  stop (): void {
    this.#isOver = true
    for (const timer of this.#timers) clearInterval(timer)
    for (const socket of this.#sockets) socket.destroy()
  }

  #connect (misbehaviour: Misbehaviour): void {
    const { opening, isDeaf = false, isFlood = false } = misbehaviour
    const from = process.platform === 'linux' ? { localAddress: '127.0.0.2' } : {}
    const socket = connect({ port: this.#port, host: '127.0.0.1', ...from })
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.write(opening)
    socket.on('close', () => {
      this.#sockets.delete(socket)
      if (isFlood && !this.#isOver) this.#connect(misbehaviour)
    })
    if (isDeaf) socket.pause()
    else {
      socket.on('data', (chunk: Buffer) => {
        this.#count(chunk)
        if (isFlood) socket.destroy()
      })
    }
  }

  #count (chunk: Buffer): void {
    const status = Number(firstLine.exec(chunk.toString('latin1'))?.[1] ?? 0)
    if (status !== 0) this.answers.set(status, (this.answers.get(status) ?? 0) + 1)
  }
}
