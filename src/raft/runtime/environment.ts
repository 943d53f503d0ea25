import { randomInt } from 'node:crypto'
import type { buildConnector } from 'undici'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import type { Timers } from './timers.ts'
import { systemTimers } from './timers.ts'

/** Opens a connection to the host and port of a URL. */
export type Connector = buildConnector.connector

/**
 * All that a node has of the world around it, beside its storage: the time, the event loop, chance, and the network.
 * A test that moves many nodes in one process gives each its own.
 */
export interface Environment {
  readonly clock: Clock
  readonly timers: Timers
  /** A number from 0 on and below 1. */
  readonly random: () => number
  /** Opens each connection to another node; null: the network of this machine does, over TLS where the URL says so. */
  readonly connector: Connector | null
}

/** The clocks, timers and the network of this process. */
export const systemEnvironment: Environment = {
  clock: systemClock,
  timers: systemTimers,
  random: () => randomInt(2 ** 32) / 2 ** 32,
  connector: null
}
