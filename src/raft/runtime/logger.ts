/** One level of a {@link Logger}: the object first, then a constant message. */
type LogMethod = (details: object, message: string) => void

/** The logger that the library writes to; pino and `fastify.log` fit. */
export interface Logger {
  readonly debug: LogMethod
  readonly info: LogMethod
  readonly warn: LogMethod
  readonly error: LogMethod
}
