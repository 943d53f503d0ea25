import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import fastify from 'fastify'
import cluster, { type LockGrant } from '../../../src/plugin/index.ts'
import { isRaftError } from '../../../src/raft/errors.ts'
import { type AcceptedWrite, AppendedCounter } from '../support/appended-counter.ts'
import { closeWhenTold } from '../support/close-when-told.ts'
import { copyFlags, copyOf } from '../support/copy-flags.ts'
import type { CounterName, IncrementNote } from '../support/counter-rounds.ts'

// One copy of an app that counts: it takes a lock, reads counters, waits, and writes them one higher, over and over. It
// ignores the signal of its grant. What became of each write stands in a file that all copies share.
const { values } = parseArgs({
  options: {
    ...copyFlags,
    counters: { type: 'string', default: '' }
  },
  strict: true
})
const { options, address } = copyOf(values)
const workers = 2
/** From the read to the write. */
const longestWorkMs = 40
/** How long a worker that was asked to be in the middle of its work stays there. */
const heldUpMs = 700
const ttlMs = 1_000
/** How often the session of the process owns the lock, in place of a time to live. */
const shareOfSessions = 0.2

const app = fastify({ logger: { level: 'warn' } })
await app.register(cluster, { ...options, closeTimeoutMs: 4_000 })

/** A number that is read, and written one higher. */
interface Counter {
  readonly name: CounterName
  readonly read: (token: string) => number | Promise<number>
  /** Whether the write counts. Rejects when that is not known. */
  readonly write: (token: string, value: number, id: string) => boolean | Promise<boolean>
}

function mapCounter (name: CounterName, isFenced: boolean): Counter {
  const map = app.cluster.map<number>(name)
  return {
    name,
    read: async () => (await map.get('value'))?.value ?? 0,
    write: async (token, value, id) => {
      const { succeeded } = await app.cluster.transaction({
        then: [
          { kind: 'set', map: name, key: 'value', value },
          { kind: 'set', map: name, key: `id/${id}`, value }
        ],
        ...(isFenced ? { fence: token } : {})
      })
      return succeeded
    }
  }
}

function fileCounter (name: CounterName, isFenced: boolean): Counter {
  const file = new AppendedCounter(join(values.counters, name), isFenced)
  return {
    name,
    read: (token) => file.read(token),
    write: (token, value, id) => file.write(token, value, id)
  }
}

const locked = [
  mapCounter('map', true),
  fileCounter('file', true),
  mapCounter('map-unfenced', false),
  fileCounter('file-unfenced', false)
]
const unlocked = fileCounter('file-unlocked', false)
const lock = app.cluster.lock('counters')
const closing = new AbortController()
/** Somebody waits for a worker that is in the middle of its work. */
let asked: { readonly isThere: () => void } | null = null

async function increment (counters: readonly Counter[], token: string, work: () => Promise<void>): Promise<void> {
  const read = await Promise.all(counters.map(async (counter) => ({ counter, value: await counter.read(token) })))
  await work()
  await Promise.all(read.map(async ({ counter, value }) => {
    const id = randomUUID()
    const outcome = await outcomeOf(async () => await counter.write(token, value + 1, id))
    note({ counter: counter.name, id, token, outcome })
  }))
}

async function underLock (grant: LockGrant): Promise<void> {
  await increment(locked, grant.token, async () => {
    // It may go on now; a pause can come at any moment behind that.
    grant.check()
    if (asked === null) {
      await delay(Math.random() * longestWorkMs)
      return
    }
    asked.isThere()
    asked = null
    await delay(heldUpMs)
  })
}

/** The outcome of a write: `yes`, `no`, or the code of an error that says that it is not known or was refused. */
async function outcomeOf (write: () => Promise<boolean>): Promise<string> {
  try {
    return await write() ? 'yes' : 'no'
  } catch (error) {
    if (isRaftError(error)) return error.code
    throw error
  }
}

function note (line: IncrementNote): void {
  appendFileSync(join(values.counters, 'notes'), `${JSON.stringify(line)}\n`)
}

/** Nobody to lead, a lock that was lost: what a cluster under faults answers. Anything else ends the process. */
async function untilClosing (work: () => Promise<void>): Promise<void> {
  while (!closing.signal.aborted) {
    try {
      await work()
    } catch (error) {
      if (!isRaftError(error)) throw error
      note({ counter: null, id: '', token: '', outcome: error.code })
      await delay(50)
    }
  }
}

async function takeTurns (): Promise<void> {
  await untilClosing(async () => {
    const kind = Math.random() < shareOfSessions ? {} : { ttlMs }
    await lock.using(underLock, { ...kind, timeoutMs: 10_000 })
  })
}

async function countWithoutLock (): Promise<void> {
  await untilClosing(async () => {
    await increment([unlocked], '1', async () => { await delay(Math.random() * longestWorkMs) })
    await delay(100)
  })
}

// Answers when a worker has read, and waits before it writes.
app.post('/hold', async () => {
  await new Promise<void>((resolve) => { asked = { isThere: resolve } })
  return {}
})
// Answers when this copy counts no more.
app.post('/end', async () => {
  closing.abort()
  await counting
  return {}
})
app.get<{ Params: { name: string } }>('/maps/:name', async ({ params: { name } }) => {
  const writes: AcceptedWrite[] = []
  for await (const { key, value } of app.cluster.map<number>(name).entries({ prefix: 'id/' })) {
    writes.push({ id: key.slice('id/'.length), value })
  }
  return writes
})
app.addHook('preClose', async () => { closing.abort() })

closeWhenTold(app)
await app.listen(address)
const counting = Promise.all([...Array.from({ length: workers }, takeTurns), countWithoutLock()])
await counting
