import type { CronResult, CronRow } from '../../plugin/primitives/support/cron-table.ts'
import { cronRows, cronVersions } from '../../plugin/primitives/support/cron-table.ts'
import { shownByIntl } from '../../plugin/primitives/support/wall-clocks.ts'

/** Most instants that a cell names. */
const maxNamed = 4
const yearMs = 366 * 86_400_000

/** The tables of docs/cron-libraries.md, by their headings: lines of Markdown. */
export function cronTables (): ReadonlyMap<string, readonly string[]> {
  const groups: Readonly<Record<string, (row: CronRow) => boolean>> = {
    'Times that are left out': (row) => shiftOf(row) > 0,
    'Times that come twice': (row) => shiftOf(row) < 0,
    'Days and steps': (row) => shiftOf(row) === 0 && row.refused === undefined,
    'What is refused here': (row) => row.refused !== undefined
  }
  return new Map(Object.entries(groups).map(([heading, isPart]) => [heading, tableOf(cronRows.filter(isPart))]))
}

/** How far the clocks of a row are set forward, in milliseconds. */
function shiftOf ({ change }: CronRow): number {
  if (change === undefined) return 0
  const [from, to] = [change.from, change.to].map((offset) => Date.parse(`1970-01-02T00:00:00${offset}`))
  return (from ?? 0) - (to ?? 0)
}

function tableOf (rows: readonly CronRow[]): readonly string[] {
  const libraries = Object.keys(cronVersions)
  const zones = new Set(rows.map(({ zone }) => zone)).size > 1
  const head = ['expression', ...(zones ? ['zone'] : []), 'what it shows', 'here', ...libraries]
  const body = rows.map((row) => [
    `\`${row.expression}\``,
    ...(zones ? [row.zone] : []),
    row.about,
    hereOf(row),
    ...libraries.map((library) => cellOf(row, row.libraries[library]))
  ])
  return [head, head.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`)
}

function hereOf (row: CronRow): string {
  const { slots = [], refused } = row
  if (refused === undefined) return namesOf(row, slots)
  return refused.code === 'RAFT_CRON_NEVER' ? 'refused' : `write \`${refused.advice}\``
}

function cellOf (row: CronRow, result: CronResult | undefined): string {
  if (result === undefined) return ''
  if (typeof result === 'string') return result
  const { slots } = row
  if (slots === undefined) return namesOf(row, result)
  const [missing, added] = [slots.filter((at) => !result.includes(at)), result.filter((at) => !slots.includes(at))]
  const parts = [...(missing.length > 0 ? [`not ${namesOf(row, missing)}`] : []),
    ...(added.length > 0 ? [`also ${namesOf(row, added)}`] : [])]
  return parts.length === 0 ? 'as here' : parts.join(', ')
}

/** Instants as the clocks of the zone show them; each date once. */
function namesOf (row: CronRow, instants: readonly string[]): string {
  if (instants.length === 0) return 'none'
  const named = instants.slice(0, maxNamed).map((instant) => nameOf(row, instant))
  const short = named.map(({ date, time }, at) => date === named[at - 1]?.date ? time : `${date} ${time}`)
  const more = instants.length - named.length
  return `${short.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function nameOf (row: CronRow, instant: string): { readonly date: string, readonly time: string } {
  const { zone, from, to, change } = row
  const instantMs = Date.parse(instant)
  const shown = new Date(shownByIntl(zone, instantMs)).toISOString()
  const behindMs = instantMs - Date.parse(change?.at ?? from)
  const isSecond = shiftOf(row) < 0 && behindMs >= 0 && behindMs < -shiftOf(row)
  const hasYears = Date.parse(to) - Date.parse(from) > yearMs
  return { date: shown.slice(hasYears ? 0 : 5, 10), time: `${shown.slice(11, 16)}${isSecond ? '²' : ''}` }
}
