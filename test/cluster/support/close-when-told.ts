import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'

/**
 * Closes an application of a process of its own on SIGTERM, and when the process that started it is gone. With
 * `drainMs` it drains first, and gives those that send it requests so long to notice.
 */
export function closeWhenTold (app: FastifyInstance, drainMs: number | null = null): void {
  const close = async (): Promise<void> => {
    if (drainMs !== null) {
      await app.cluster.drain()
      await delay(drainMs)
    }
    await app.close()
  }
  const onTold = (): void => {
    close().then(() => {
      // The channel to the process that started this one; nothing else is left.
      if (process.connected) process.disconnect()
    }, (error: unknown) => {
      app.log.error(error)
      process.exit(1)
    })
  }
  process.once('SIGTERM', onTold)
  process.once('disconnect', onTold)
}
