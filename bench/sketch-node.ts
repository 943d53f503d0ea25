/**
 * A process of a sketch of a cluster. writes.ts measures it as well, to show how much of the cost of a write is not
 * due to Raft. The leader collects writes while a batch is under way; a batch is one POST to each follower and one
 * write and sync on its own disk, and is answered when its own disk and one follower have it. There are no terms, log,
 * elections, sessions or checks, and nothing survives a fault: no cluster can do less.
 *
 * `node sketch-node.js DIRECTORY`: a follower. `node sketch-node.js DIRECTORY node:http|fastify URL URL`: a leader,
 * with the URLs of the followers. Sends its address. The caller creates and removes the directory.
 */
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import fastify from 'fastify'
import { Pool } from 'undici'
import { writeFully } from '../src/raft/storage/disk/file-operations.ts'
import { nodeFileOperations } from '../src/raft/storage/disk/file-system.ts'
import { readBody, sendBody } from '../src/raft/transport/http-body.ts'
import { SmallRequest } from '../src/raft/transport/small-request.ts'
import type { Front } from './sketch-cluster.ts'

const fileBytes = 64 * 1024 * 1024
const maxBodyBytes = 1024 * 1024
const postTimeoutMs = 10_000

/** The request of a client: write a value under a key. */
interface Write {
  readonly key: string
  readonly value: string
  readonly bytes: Buffer
  readonly answer: (revision: number) => void
}

/** A sketch tolerates no fault: any error ends the process, and with it the measurement. */
function endProcess (error: unknown): void {
  process.nextTick(() => { throw error })
}

/** Writes a batch and syncs it; called again only when that is done. */
type Disk = (batch: Uint8Array) => Promise<void>

/** Writes one batch behind the other into a file of zeros, over and over, through the thread of the log. */
async function openDisk (directory: string): Promise<Disk> {
  const file = await nodeFileOperations.createNew(join(directory, 'sketch'))
  await writeFully(file, Buffer.alloc(fileBytes), 0)
  await file.sync()
  const disk = nodeFileOperations.startDisk('log')
  const memory = disk.allocate(maxBodyBytes)
  let position = 0
  return async (batch) => {
    if (position + batch.byteLength > fileBytes) position = 0
    memory.set(batch)
    await disk.write(file, memory.subarray(0, batch.byteLength), position)
    position += batch.byteLength
  }
}

async function listen (server: Server): Promise<string> {
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

class Leader {
  readonly #disk: Disk
  readonly #followers: readonly Pool[]
  readonly #map = new Map<string, { readonly value: string, readonly revision: number }>()
  #revision = 0
  #waiting: Write[] = []
  #isBusy = false

  constructor (disk: Disk, followers: readonly string[]) {
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
        this.#revision++
        this.#map.set(key, { value, revision: this.#revision })
        answer(this.#revision)
      }
      this.#isBusy = this.#waiting.length > 0
      if (this.#isBusy) this.#next()
    }).catch(endProcess)
  }

  async #post (follower: Pool, body: Buffer): Promise<void> {
    await new Promise((resolve, reject) => {
      new SmallRequest({
        method: 'POST',
        path: '/batch',
        headers: ['content-type', 'application/octet-stream'],
        body,
        timeoutMs: postTimeoutMs,
        maxAnswerBytes: maxBodyBytes,
        answered: ({ statusCode }) => {
          if (statusCode === 200) resolve(undefined)
          else reject(new Error(`the follower answered ${statusCode}`))
        },
        failed: reject
      }).start(follower)
    })
  }
}

const written = Buffer.from('written')

async function startFollower (disk: Disk): Promise<string> {
  return await listen(createServer((request, response) => {
    readBody(request, maxBodyBytes)
      .then(disk)
      .then(() => {
        sendBody(response, 200, 'application/octet-stream', written)
      })
      .catch(endProcess)
  }))
}

/** Serves clients of the leader on the bare HTTP server. */
async function startBareFront (leader: Leader): Promise<string> {
  const pathBefore = '/_cluster/v1/kv/'
  const decoder = new TextDecoder()
  return await listen(createServer((request, response) => {
    readBody(request, maxBodyBytes).then((body) => {
      const { value } = JSON.parse(decoder.decode(body)) as { readonly value: string }
      leader.write((request.url ?? '').slice(pathBefore.length), value, (revision) => {
        sendBody(response, 200, 'application/json', Buffer.from(JSON.stringify({ revision })))
      })
    }).catch(endProcess)
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

const fronts: Readonly<Record<Front, (leader: Leader) => Promise<string>>> = {
  fastify: startFastifyFront,
  'node:http': startBareFront
}

const [directory = '', front, ...followers] = process.argv.slice(2)
process.once('disconnect', () => { process.exit() })
const disk = await openDisk(directory)
const url = await (front === undefined ? startFollower(disk) : fronts[front as Front](new Leader(disk, followers)))
process.send?.({ url })
