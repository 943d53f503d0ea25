import { readFileSync } from 'node:fs'
import { cronSlots } from '../../../../src/plugin/primitives/cron.ts'
import { changesBetween } from './wall-clocks.ts'

/** What a library does in a row: its instants, or why it has none. */
export type CronResult = readonly string[] | 'refused' | 'throws'

/** What an expression comes to in a stretch of time. Instants are texts such as `2027-03-14T07:00:00Z`. */
export interface CronRow {
  readonly id: string
  readonly about: string
  readonly expression: string
  readonly zone: string
  /** The first instant that counts. */
  readonly from: string
  /** The first one that counts no more. */
  readonly to: string
  /** The clock change that the row is about, and the offsets around it. */
  readonly change?: { readonly at: string, readonly from: string, readonly to: string }
  /** Ours. */
  readonly slots?: readonly string[]
  /** In place of slots: the code, and what its message has to say. */
  readonly refused?: { readonly code: string, readonly advice: string }
  /** Why it is not what croner does. */
  readonly why?: string
  /** By the name of the library; one that was not asked has no entry. */
  readonly libraries: Readonly<Record<string, CronResult>>
}

interface CronTable {
  /** Of the libraries, in the order of the columns. */
  readonly versions: Readonly<Record<string, string>>
  /** Version of the time zone data that they were run with. */
  readonly zones: string
  readonly rows: readonly CronRow[]
}

const { versions, zones, rows } =
  JSON.parse(readFileSync(new URL('cron-table.json', import.meta.url), 'utf8')) as CronTable

export const cronVersions = versions
export const cronZones = zones
export const cronRows = rows

/** All slots in [from, to), in milliseconds. */
export function slotsBetween (expression: string, zone: string, fromMs: number, toMs: number): readonly number[] {
  const slots = cronSlots(expression, zone)
  const found: number[] = []
  for (let at = slots.after(fromMs - 1); at !== null && at < toMs; at = slots.after(at)) found.push(at)
  return found
}

export function instantText (instantMs: number): string {
  return new Date(instantMs).toISOString().replace('.000Z', 'Z')
}

/** Whether this runtime's zones have the clock change of a row: they are as old as its release, or its system. */
export function knowsChange ({ zone, change }: CronRow): boolean {
  if (change === undefined) return true
  const atMs = Date.parse(change.at)
  return changesBetween(zone, atMs - 1_000, atMs).some(({ from, to }) => from === change.from && to === change.to)
}
