/**
 * A process of a sketch of a cluster: what writes.ts compares as well, to tell how much of a write's cost is not Raft's.
 * The leader gathers writes while a batch is under way; a batch is one POST to each follower and one write and sync of
 * its own, and is answered when its own disk and one follower have it. No terms, no log, no elections, no sessions, no
 * checks, and nothing survives a fault: no cluster can do less.
 *
 * `node sketch-node.js follower` or `node sketch-node.js leader node:http|fastify URL URL`, the followers' URLs. Says
 * where it listens.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import fastify from 'fastify'
import { Pool } from 'undici'
import { nodeFileOperations, writeFully } from '../src/raft/storage/file-operations.ts'
import { PeerPost } from '../src/raft/transport/peer-post.ts'

const fileBytes = 64 * 1024 * 1024
const maxBatchBytes = 1024 * 1024
const postTimeoutMs = 10_000

/** What the clients of the leader ask for: to write a value under a key. */
interface Write {
  readonly key: string
  readonly value: unknown
  readonly bytes: Buffer
  readonly answer: (revision: number) => void
}

/** A sketch bears no fault: whatever fails ends the process, and with it the measurement. */
function endProcess (error: unknown): void {
  process.nextTick(() => { throw error })
}

/** One batch after the other into a file of zeros, over and over, through the thread that the log uses. */
async function openDisk (directory: string): Promise<(batch: Uint8Array) => Promise<void>> {
  const file = await nodeFileOperations.createNew(join(directory, 'sketch'))
  await writeFully(file, Buffer.alloc(fileBytes), 0)
  await file.sync()
  const disk = nodeFileOperations.startDisk('log')
  const memory = disk.allocate(maxBatchBytes)
  let position = 0
  let last: Promise<void> = Promise.resolve()
  return (batch) => {
    last = last.then(async () => {
      if (position + batch.byteLength > fileBytes) position = 0
      memory.set(batch)
      await disk.write(file, memory.subarray(0, batch.byteLength), position)
      position += batch.byteLength
    })
    return last
  }
}

function readBody (request: IncomingMessage, then: (body: Buffer) => void): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => { chunks.push(chunk) })
  request.on('end', () => {
    const [first] = chunks
    then(first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks))
  })
}

function respond (response: ServerResponse, type: string, body: string): void {
  response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

async function listen (server: Server): Promise<string> {
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

class Leader {
  readonly #disk: (batch: Uint8Array) => Promise<void>
  readonly #followers: readonly Pool[]
  readonly #map = new Map<string, { readonly value: unknown, readonly revision: number }>()
  #revision = 0
  #waiting: Write[] = []
  #isBusy = false

  constructor (disk: (batch: Uint8Array) => Promise<void>, followers: readonly string[]) {
    this.#disk = disk
    this.#followers = followers.map((url) => new Pool(url, { connections: 1, pipelining: 1 }))
  }

  write (key: string, value: string, answer: (revision: number) => void): void {
    this.#waiting.push({ key, value, bytes: Buffer.from(`${key} ${value}\n`), answer })
    if (this.#isBusy) return
    this.#isBusy = true
    setImmediate(() => { this.#next() })
  }

  #next (): void {
    const batch = this.#waiting
    this.#waiting = []
    const bytes = Buffer.concat(batch.map((write) => write.bytes))
    const acknowledged = Promise.any(this.#followers.map((follower) => this.#post(follower, bytes)))
    Promise.all([this.#disk(bytes), acknowledged]).then(() => {
      for (const { key, value, answer } of batch) {
        this.#revision += 1
        this.#map.set(key, { value, revision: this.#revision })
        answer(this.#revision)
      }
      this.#isBusy = this.#waiting.length > 0
      if (this.#isBusy) this.#next()
    }).catch(endProcess)
  }

  async #post (follower: Pool, body: Buffer): Promise<void> {
    await new Promise((resolve, reject) => {
      new PeerPost({ path: '/batch', body, timeoutMs: postTimeoutMs, answered: resolve, failed: reject }).start(follower)
    })
  }
}

async function startFollower (disk: (batch: Uint8Array) => Promise<void>): Promise<string> {
  return await listen(createServer((request, response) => {
    readBody(request, (body) => {
      disk(body).then(() => { respond(response, 'application/octet-stream', 'written') }).catch(endProcess)
    })
  }))
}

/** The leader's side towards clients on the bare HTTP server. */
async function startBareFront (leader: Leader): Promise<string> {
  const pathBefore = '/_cluster/v1/kv/'
  return await listen(createServer((request, response) => {
    readBody(request, (body) => {
      const { value } = JSON.parse(body.toString()) as { readonly value: string }
      leader.write((request.url ?? '').slice(pathBefore.length), value, (revision) => { respond(response, 'application/json', JSON.stringify({ revision })) })
    })
  }))
}

/** The same as a route of Fastify with a schema, as the routes of a plugin are. */
async function startFastifyFront (leader: Leader): Promise<string> {
  const app = fastify()
  app.put<{ Params: { key: string }, Body: { value: string } }>('/_cluster/v1/kv/:key', {
    schema: {
      body: { type: 'object', properties: { value: {} }, required: ['value'], additionalProperties: false },
      response: { 200: { type: 'object', properties: { revision: { type: 'integer' } }, required: ['revision'] } }
    }
  }, (request, reply) => {
    leader.write(request.params.key, request.body.value, (revision) => { reply.send({ revision }) })
  })
  return await app.listen({ port: 0, host: '127.0.0.1' })
}

const [role, second, ...rest] = process.argv.slice(2)
const directory = process.env.SKETCH_DIRECTORY
if (directory === undefined) throw new Error('SKETCH_DIRECTORY is missing')
const own = await mkdtemp(join(directory, `${role}-`))
process.once('disconnect', () => {
  rm(own, { recursive: true, force: true }).then(() => { process.exit() }).catch(endProcess)
})
const disk = await openDisk(own)
let url: string
if (role === 'follower') url = await startFollower(disk)
else if (second === 'fastify') url = await startFastifyFront(new Leader(disk, rest))
else url = await startBareFront(new Leader(disk, rest))
process.send?.({ url })
