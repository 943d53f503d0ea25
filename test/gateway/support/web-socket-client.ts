import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { until } from './servers.ts'

const textFrame = 0x81
const closeFrame = 0x88

/** A client of the WebSocket protocol (RFC 6455), as far as tests need it: whole messages of text. */
export class WebSocketClient {
  readonly socket: Socket
  readonly received: string[] = []
  /** The status of the answer to the handshake; null before it. */
  status: number | null = null
  head = ''
  closed = false
  #bytes = Buffer.alloc(0)

  constructor (url: string) {
    const { hostname, port, pathname } = new URL(url)
    this.socket = connect({ host: hostname, port: Number(port) })
    this.socket.on('data', (chunk) => { this.#take(chunk) })
    this.socket.on('error', () => {})
    this.socket.on('close', () => { this.closed = true })
    onTestFinished(() => { this.socket.destroy() })
    this.socket.write(
      `GET ${pathname} HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`
    )
  }

  async opened (): Promise<this> {
    await until(() => this.status !== null, 'the handshake is answered')
    if (this.status !== 101) throw new Error(`refused: ${this.head}`)
    return this
  }

  send (text: string): void {
    this.#write(textFrame, Buffer.from(text))
  }

  close (): void {
    this.#write(closeFrame, Buffer.from([0x03, 0xe8]))
  }

  /** Masked, as those of clients have to be (section 5.3). */
  #write (kind: number, payload: Buffer): void {
    const head = Buffer.alloc(14)
    head.writeUInt8(kind, 0)
    head.writeUInt8(0x80 | 127, 1)
    head.writeBigUInt64BE(BigInt(payload.length), 2)
    // A mask of zeros changes nothing.
    this.socket.write(Buffer.concat([head, payload]))
  }

  #take (chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    if (this.status === null) {
      const end = this.#bytes.indexOf('\r\n\r\n')
      if (end === -1) return
      this.head = this.#bytes.toString('latin1', 0, end)
      this.status = Number(this.head.split(' ', 2)[1])
      this.#bytes = this.#bytes.subarray(end + 4)
    }
    if (this.status === 101) while (this.#takeFrame());
  }

  #takeFrame (): boolean {
    const bytes = this.#bytes
    if (bytes.length < 2) return false
    const short = bytes.readUInt8(1)
    const headBytes = short === 127 ? 10 : short === 126 ? 4 : 2
    if (bytes.length < headBytes) return false
    const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short
    if (bytes.length < headBytes + length) return false
    const payload = bytes.subarray(headBytes, headBytes + length)
    if (bytes.readUInt8(0) === textFrame) this.received.push(payload.toString())
    if (bytes.readUInt8(0) === closeFrame) this.socket.end()
    this.#bytes = bytes.subarray(headBytes + length)
    return true
  }
}
