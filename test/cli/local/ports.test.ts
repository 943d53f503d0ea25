import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { freePorts, requireFreePort } from '../../../src/cli/local/ports.ts'
import { PlainError } from '../../../src/cli/terminal/messages.ts'

describe('free ports', () => {
  it('are all different, below the ephemeral range, and free', async () => {
    const ports = await freePorts(50)
    expect(new Set(ports).size).toBe(50)
    for (const port of ports) {
      expect(port).toBeLessThan(32_768)
      await requireFreePort(port, '')
    }
  })

  it('are distinguished from ports in use, with advice', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    try {
      await expect(requireFreePort(port, 'choose another')).rejects.toThrow(
        new PlainError(`Port ${port} on 127.0.0.1 is in use or not allowed to this user; choose another`)
      )
    } finally {
      server.close()
      await once(server, 'close')
    }
  })
})
