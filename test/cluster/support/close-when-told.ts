import type { FastifyInstance } from 'fastify'

/** Closes an application of a process of its own on SIGTERM, and when the process that started it is gone. */
export function closeWhenTold (app: FastifyInstance): void {
  const close = (): void => {
    app.close().then(() => {
      // The channel to the process that started this one; nothing else is left.
      if (process.connected) process.disconnect()
    }, (error: unknown) => {
      app.log.error(error)
      process.exit(1)
    })
  }
  process.once('SIGTERM', close)
  process.once('disconnect', close)
}
