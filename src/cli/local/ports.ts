import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { PlainError } from '../terminal/messages.ts'

// Below the ephemeral ranges of Linux (32768) and of the others (49152), so that no outgoing connection of this machine
// takes a port between its reservation and its use, or while the node that owns it is down.
const lowestPort = 15_000
const highestPort = 31_999
const maxAttempts = 200

/**
 * Finds free ports on a host of this machine, all different and below the ephemeral range. They are free when this
 * resolves; nothing holds them after that. Rejects when none can be found.
 */
export async function freePorts (count: number, host = '127.0.0.1'): Promise<number[]> {
  const held: Server[] = []
  const ports: number[] = []
  try {
    for (let attempt = 0; attempt < maxAttempts && ports.length < count; attempt++) {
      const port = lowestPort + Math.floor(Math.random() * (highestPort - lowestPort + 1))
      const server = await tryListen(port, host)
      if (server === null) continue
      held.push(server)
      ports.push(port)
    }
  } finally {
    await Promise.all(held.map(closed))
  }
  if (ports.length < count) {
    throw new PlainError(`No ${count} free ports between ${lowestPort} and ${highestPort} on ${host}`)
  }
  return ports
}

/** Rejects with a {@link PlainError} that ends in the advice when this port of 127.0.0.1 cannot be listened on. */
export async function requireFreePort (port: number, advice: string): Promise<void> {
  const server = await tryListen(port, '127.0.0.1')
  if (server === null) {
    throw new PlainError(`Port ${port} on 127.0.0.1 is in use or not allowed to this user; ${advice}`)
  }
  await closed(server)
}

async function tryListen (port: number, host: string): Promise<Server | null> {
  const server = createServer()
  try {
    server.listen({ host, port, exclusive: true })
    await once(server, 'listening')
    return server
  } catch {
    return null
  }
}

async function closed (server: Server): Promise<void> {
  const closing = once(server, 'close')
  server.close()
  await closing
}
