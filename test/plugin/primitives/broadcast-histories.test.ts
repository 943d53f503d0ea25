import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import type { TestCluster } from '../../../src/testing/index.ts'
import { createTestCluster } from '../../../src/testing/index.ts'
import { SimRandom } from '../../sim/random.ts'

/** What one process of a copy has heard, in order: messages by their names, or that it may have lost some. */
interface Life {
  readonly id: string
  readonly sent: string[]
  readonly durable: string[]
}

/** A message, and what its sender was told of it. */
interface Published {
  readonly name: string
  readonly from: string
  /** Copies that surely have it; null: the sender was told nothing. */
  readonly reached: readonly string[] | null
}

const lost = 'lost'

/** Three copies that note all they hear, in lives that begin with each start. */
async function start (seed: number): Promise<{ readonly copies: TestCluster, readonly lives: Life[] }> {
  const lives: Life[] = []
  const copies = await createTestCluster({
    seed,
    createApp: async ({ id, options }) => {
      const app = Fastify()
      await app.register(cluster, { ...options, snapshots: { everyEntries: 40, trailingEntries: 0, trailingBytes: 0 } })
      const life: Life = { id, sent: [], durable: [] }
      lives.push(life)
      for (const [durable, news] of [[false, life.sent], [true, life.durable]] as const) {
        app.cluster.broadcast<string>('news', { durable }).subscribe({
          message: (name) => { news.push(name) },
          lost: () => { news.push(lost) }
        })
      }
      return app
    }
  })
  onTestFinished(async () => { await copies.close() })
  return { copies, lives }
}

/** One fault or its end, whatever fits the moment. */
async function disturb (copies: TestCluster, random: SimRandom): Promise<void> {
  const down = copies.ids.filter((id) => !copies.apps.has(id))
  const id = random.pick(copies.ids)
  switch (random.between(0, 5)) {
    case 0: {
      copies.partition(copies.ids.filter((other) => other !== id))
      return
    }
    case 1: {
      copies.heal()
      return
    }
    case 2: {
      if (down.length === 0) await copies.kill(id)
      return
    }
    case 3: {
      for (const gone of down) await copies.start(gone)
      return
    }
    case 4: {
      if (copies.apps.has(id)) copies.pause(id)
      await copies.advance(random.between(100, 3_000))
      if (copies.apps.has(id)) copies.resume(id)
      return
    }
    default: await copies.advance(random.between(10, 2_000))
  }
}

/** Publishes and disturbs for a while, then lets everything come to rest. */
async function live (
  seed: number
): Promise<{ readonly lives: readonly Life[], readonly published: readonly Published[] }> {
  const random = new SimRandom(seed)
  const { copies, lives } = await start(seed)
  const published: Published[] = []
  const open: Array<Promise<void>> = []
  for (let at = 0; at < 120; at++) {
    if (random.chance(0.15)) await disturb(copies, random)
    const from = random.pick([...copies.apps.keys()])
    const durable = random.chance(0.5)
    const name = `${durable ? 'd' : 's'}${at}`
    const work = copies.app(from).cluster.broadcast('news', { durable }).publish(name, { timeoutMs: 2_000 })
    const note = (reached: Published['reached']): void => { published.push({ name, from, reached }) }
    open.push(work.then((told) => { note(told.kind === 'sent' ? told.reached : copies.ids) }, () => { note(null) }))
    await copies.advance(random.between(0, 50))
  }
  copies.heal()
  for (const id of copies.ids) if (!copies.apps.has(id)) await copies.start(id)
  await copies.advance(20_000)
  await copies.run(Promise.all(open))
  return { lives, published }
}

describe.each([1, 2, 3, 4, 5, 6])('broadcasts among faults (seed %i)', (seed) => {
  it('keep their promises', { timeout: 60_000 }, async () => {
    const { lives, published } = await live(seed)
    expect(published.length).toBe(120)
    expect(lives.length).toBeGreaterThanOrEqual(3)
    const order = new Map<string, number>()
    for (const { sent, durable } of lives) {
      for (const news of [sent, durable]) {
        const names = news.filter((name) => name !== lost)
        expect(new Set(names).size, 'no message is heard twice in one life').toBe(names.length)
      }
      // Messages of one sender come in their order.
      for (const from of ['n1', 'n2', 'n3']) {
        const own = sent.filter((name) => published.some((one) => one.name === name && one.from === from))
        expect(own).toEqual([...own].sort((one, other) => Number(one.slice(1)) - Number(other.slice(1))))
      }
    }
    // All hear durable messages in one order: each pair that two lives have heard stands alike in both.
    for (const { durable } of lives) {
      const names = durable.filter((name) => name !== lost)
      for (const [at, name] of names.entries()) {
        const next = names[at + 1]
        if (next !== undefined) expect(order.get(`${next} ${name}`), `${name} before ${next}`).toBeUndefined()
        if (next !== undefined) order.set(`${name} ${next}`, at)
      }
    }
    // Who lives from the beginning to the end has heard each acknowledged message, or that something is missing.
    for (const { id, sent, durable } of lives.filter((life) => lives.filter(({ id }) => id === life.id).length === 1)) {
      for (const { name, reached } of published) {
        const news = name.startsWith('d') ? durable : sent
        if (reached?.includes(id) === true && !news.includes(lost)) expect(news, `${id} hears ${name}`).toContain(name)
        if (reached !== null && name.startsWith('s') && !news.includes(name)) expect(news).toContain(lost)
      }
    }
  })
})
