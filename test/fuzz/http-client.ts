import net from 'node:net'
import type { SimRandom } from '../sim/random.ts'
import { BrokenRule } from './target.ts'
import { noise } from './values.ts'

/** A request as it goes onto the wire: nothing in it has to be right. */
export interface HttpInput {
  readonly method: string
  readonly path: string
  /** Beside `host` and those that frame the body. */
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>
  readonly body: Uint8Array
  /** How the end of the body is said: rightly by its length or in chunks, or so that it is wrong. */
  readonly framing: 'length' | 'chunked' | 'cut' | 'twice' | 'both' | 'signed' | 'none'
}

/** An answer, as far as the oracles look at it. */
export interface HttpAnswer {
  readonly status: number
  readonly fields: ReadonlyMap<string, string>
  readonly body: Buffer
}

/** How the body of an input is framed: nearly always rightly, or little else would be tried. */
export function anyFraming (random: SimRandom): HttpInput['framing'] {
  if (!random.chance(0.03)) return random.chance(0.05) ? 'chunked' : 'length'
  return random.pick(['cut', 'twice', 'both', 'signed', 'none'])
}

/** Field lines that Node's parser, a proxy or this package may stumble over. */
export function anyField (random: SimRandom): readonly [string, string] {
  return random.pick<() => readonly [string, string]>([
    () => ['x-forwarded-for', '192.0.2.1'],
    () => ['forwarded', 'for=192.0.2.1'],
    () => ['via', '1.1 x'],
    () => ['__proto__', 'x'],
    () => ['constructor', 'x'],
    () => ['connection', random.pick(['close', 'raft-hop', 'keep-alive, raft-seal', 'upgrade'])],
    () => ['expect', random.pick(['100-continue', 'x'])],
    () => ['te', 'trailers'],
    () => ['origin', 'http://a.test'],
    () => ['cookie', 'a=b'],
    () => ['x', 'y'.repeat(random.pick([1, 1_000, 17_000]))],
    () => ['x', Buffer.from(noise(random, 12)).toString('latin1')],
    () => ['x', 'a\r\nraft-hop: v=1;from=n2;to=n1;term=1'],
    () => ['x y', 'z'],
    () => ['raft-hop', 'x'],
    () => ['raft-attempt', 'x'],
    () => ['content-length', '5']
  ])()
}

/** Control characters, and what does not fit into one byte: after such a head nobody knows where the request ends. */
function isStrange (text: string): boolean {
  return [...text].some((character) => character < ' ' || character > '\u00ff' || character === '\u007f')
}

const framingNames = new Set(['content-length', 'transfer-encoding', 'connection', 'expect', 'upgrade'])

/** Whether the sender does not know where the server takes the end of the request to be. */
function isOdd ({ method, path, fields, framing }: HttpInput): boolean {
  return (framing !== 'length' && framing !== 'chunked') || !/^[A-Z]{3,8}$/.test(method) || method === 'CONNECT' ||
    path === '' || isStrange(path) || path.includes(' ') ||
    fields.some(([name, value]) => framingNames.has(name.toLowerCase()) || isStrange(name + value))
}

/** A text as it goes onto the wire in a field: a byte a character. */
export function wireText (text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1').trim()
}

function bytesOf ({ method, path, fields, body, framing }: HttpInput): Buffer {
  const length = `content-length: ${body.byteLength}`
  const chunked = 'transfer-encoding: chunked'
  const framed: Record<HttpInput['framing'], readonly string[]> = {
    length: [length],
    chunked: [chunked],
    cut: [`content-length: ${body.byteLength + 10}`],
    twice: [length, `content-length: ${body.byteLength + 1}`],
    both: [length, chunked],
    signed: [`content-length: +${body.byteLength}`],
    none: []
  }
  const lines = [
    `${method} ${path} HTTP/1.1`,
    'host: node.test',
    ...fields.map(([name, value]) => `${name}: ${value}`),
    ...framed[framing]
  ]
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  if (framing !== 'chunked' && framing !== 'both') return Buffer.concat([head, body])
  const size = Buffer.from(`${body.byteLength.toString(16)}\r\n`)
  return Buffer.concat(body.byteLength === 0
    ? [head, Buffer.from('0\r\n\r\n')]
    : [head, size, body, Buffer.from('\r\n0\r\n\r\n')])
}

/** Sends requests over TCP to a server on loopback, on one connection as long as that is of use. */
export class HttpClient {
  readonly #port: number
  #socket: net.Socket | null = null
  #opened = 0

  constructor (port: number) {
    this.#port = port
  }

  /** The answer; null when the server closed the connection without one. */
  async send (input: HttpInput): Promise<HttpAnswer | null> {
    const odd = isOdd(input)
    if (odd) this.close()
    const socket = this.#socket ?? this.#connect()
    this.#socket = socket
    const answer = answerOn(socket, input.method === 'HEAD', odd)
    const bytes = bytesOf(input)
    // Half closed: a server that waits for more of an odd request learns that none will come.
    if (odd) socket.end(bytes)
    else socket.write(bytes)
    const found = await answer
    if (odd || found === null || found.fields.get('connection') === 'close') this.close()
    return found
  }

  close (): void {
    this.#socket?.destroy()
    this.#socket = null
  }

  #connect (): net.Socket {
    // The system keeps the ports of closed connections for a minute. Each address of loopback has ports of its own.
    const localAddress = `127.0.0.${1 + this.#opened++ % 100}`
    const socket = net.connect({ host: '127.0.0.1', port: this.#port, localAddress, noDelay: true })
    socket.on('error', () => {})
    return socket
  }
}

function answerOn (socket: net.Socket, isHead: boolean, untilClose: boolean): Promise<HttpAnswer | null> {
  return new Promise((resolve) => {
    let received: Buffer = Buffer.alloc(0)
    const finish = (answer: HttpAnswer | null): void => {
      socket.off('data', take)
      socket.off('close', end)
      resolve(answer)
    }
    const end = (): void => { finish(readAnswer(received, isHead, true)) }
    const take = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      if (untilClose) return
      const answer = readAnswer(received, isHead, false)
      if (answer !== null) finish(answer)
    }
    socket.on('data', take)
    socket.on('close', end)
    if (socket.destroyed) end()
  })
}

/** Null while it is not complete. */
function readAnswer (received: Buffer, isHead: boolean, isAll: boolean): HttpAnswer | null {
  const headEnd = received.indexOf('\r\n\r\n')
  if (headEnd === -1) return null
  const [statusLine = '', ...lines] = received.toString('latin1', 0, headEnd).split('\r\n')
  const status = Number(statusLine.slice(9, 12))
  const rest = received.subarray(headEnd + 4)
  if (status < 200 && status !== 101) return readAnswer(rest, isHead, isAll)
  const fields = new Map(lines.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
  }))
  if (isHead || status === 204 || status === 304) return { status, fields, body: Buffer.alloc(0) }
  const length = fields.get('content-length')
  if (fields.get('transfer-encoding') === 'chunked') {
    const body = readChunks(rest)
    return body === null ? null : { status, fields, body }
  }
  if (length === undefined) return isAll ? { status, fields, body: rest } : null
  const isComplete = rest.length >= Number(length)
  return isComplete || isAll ? { status, fields, body: rest.subarray(0, Number(length)) } : null
}

/** The content of chunks (RFC 9112, section 7.1); null while the last one is missing. */
function readChunks (bytes: Buffer): Buffer | null {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd === -1) return null
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    if (size === 0) return Buffer.concat(parts)
    if (!(lineEnd + 2 + size <= bytes.length)) return null
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
}

/** The code of a refusal; whoever is refused gets one, but for what Node's parser does not take for a request. */
export function codeOf (answer: HttpAnswer | null): string {
  if (answer === null) return 'connection closed'
  const { status, body } = answer
  if (status < 400 || status > 599) {
    throw new BrokenRule('the status is one of a refusal', `${status} ${body.toString('utf8').slice(0, 400)}`)
  }
  if (body.byteLength === 0 && status !== 500) return `HTTP ${status}`
  const { code, message } = JSON.parse(body.toString('utf8')) as { readonly code?: unknown, readonly message?: unknown }
  // Fastify answers so what Node's parser does not take for a request.
  if (code === undefined && message === 'Client Error') return `HTTP ${status}`
  if (typeof code !== 'string' || !code.startsWith('RAFT_') || code === 'RAFT_INTERNAL') {
    throw new BrokenRule('a refusal has a RAFT_ code', body.toString('utf8').slice(0, 400))
  }
  return code
}
