import type { RemoteInfo } from 'node:dgram'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIP } from 'node:net'

const types = { A: 1, AAAA: 28, SRV: 33 } as const
const codes = { ok: 0, serverFailure: 2, noSuchName: 3 } as const

/** The target of a service. */
interface Service {
  readonly name: string
  readonly port: number
}

/** A name server on loopback over UDP (RFC 1035), with the records that a test gives it. */
export class DnsServer {
  readonly #socket = createSocket('udp4')
  /** Addresses of both kinds by name. */
  readonly addresses = new Map<string, readonly string[]>()
  readonly services = new Map<string, readonly Service[]>()
  /** Answers that it cannot answer. */
  isBroken = false
  questions = 0

  private constructor () {
    this.#socket.on('message', (message, from) => { this.#answer(message, from) })
  }

  static async start (): Promise<DnsServer> {
    const server = new DnsServer()
    server.#socket.bind(0, '127.0.0.1')
    await once(server.#socket, 'listening')
    return server
  }

  /** As `dns.setServers` takes it. */
  get address (): string {
    return `127.0.0.1:${this.#socket.address().port}`
  }

  async stop (): Promise<void> {
    await new Promise<void>((resolve) => { this.#socket.close(() => { resolve() }) })
  }

  #answer (message: Buffer, from: RemoteInfo): void {
    this.questions++
    let end = 12
    const labels: string[] = []
    for (let length = message[end] ?? 0; length > 0; length = message[end] ?? 0) {
      labels.push(message.toString('latin1', end + 1, end + 1 + length))
      end += length + 1
    }
    end += 5
    const name = labels.join('.').toLowerCase()
    const type = message.readUInt16BE(end - 4)
    const records = this.isBroken ? [] : this.#records(name, type)
    const isKnown = this.addresses.has(name) || this.services.has(name)
    const header = Buffer.alloc(12)
    message.copy(header, 0, 0, 2)
    // An answer, authoritative, to a question that may ask for recursion.
    header.writeUInt16BE(0x8580 | (this.isBroken ? codes.serverFailure : isKnown ? codes.ok : codes.noSuchName), 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(records.length, 6)
    this.#socket.send(Buffer.concat([header, message.subarray(12, end), ...records]), from.port, from.address)
  }

  #records (name: string, type: number): Buffer[] {
    const addresses = this.addresses.get(name) ?? []
    switch (type) {
      case types.A:
        return addresses.filter((address) => isIP(address) === 4)
          .map((address) => record(types.A, Buffer.from(address.split('.').map(Number))))
      case types.AAAA:
        return addresses.filter((address) => address === '::1')
          .map(() => record(types.AAAA, Buffer.concat([Buffer.alloc(15), Buffer.from([1])])))
      case types.SRV:
        return (this.services.get(name) ?? []).map(({ name: target, port }) => {
          const fixed = Buffer.alloc(6)
          fixed.writeUInt16BE(port, 4)
          return record(types.SRV, Buffer.concat([fixed, encodedName(target)]))
        })
      default:
        return []
    }
  }
}

/** A record of the name that was asked for, to be kept for no time. */
function record (type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12)
  // A pointer to the name in the question.
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

function encodedName (name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  return Buffer.concat([...labels, Buffer.from([0])])
}
