import { channel } from 'node:diagnostics_channel'
import { expect, it } from 'vitest'

it('importing the package changes nothing outside of it', async () => {
  const prototypes = [Object, Array, Function, Promise, Error, EventTarget].map((type) => type.prototype as object)
  const objects = [globalThis, ...prototypes].map((object) => ({ object, values: valuesOf(object) }))
  const before = outside()
  const module = await import('../../src/plugin/index.ts')
  // All of it before the first expectation, which leaves things of its own.
  const changed = objects.flatMap(({ object, values }) => changedSince(values, object))
  const after = outside()
  expect(module.default).toBe(module.cluster)
  expect(after).toEqual(before)
  expect(changed).toEqual([])
})

/** Channels that a module could subscribe to, listeners of the process, and its environment. */
function outside () {
  const channels = ['fastify.initialization', 'http.server.request.start', 'http.client.request.start']
  return {
    subscribed: channels.filter((name) => channel(name).hasSubscribers),
    listeners: process.eventNames().map((name) => [name, process.listenerCount(name)]),
    environment: { ...process.env }
  }
}

function changedSince (known: ReadonlyMap<string | symbol, unknown>, object: object): (string | symbol)[] {
  return [...valuesOf(object)].filter(([name, value]) => !known.has(name) || !Object.is(known.get(name), value))
    .map(([name]) => name)
}

/**
 * Values and not descriptors: Node replaces getters of its own by what they give when they are first read. Without
 * those of undici, of which Node's own fetch is made (it sets a dispatcher for the process where there is none yet),
 * and of the test runner.
 */
function valuesOf (object: object): Map<string | symbol, unknown> {
  const names = Reflect.ownKeys(object).filter((name) => !/^Symbol\((undici\.|\$\$jest)/.test(String(name)))
  return new Map(names.map((name) => [name, read(object, name)]))
}

/** A property, or null for one that only an instance has. */
function read (object: object, name: string | symbol): unknown {
  try {
    return Reflect.get(object, name)
  } catch {
    return null
  }
}
