import { appendFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

/** A line that a run of a task writes when it begins and when it ends, on any process of this machine. */
interface RunLine {
  readonly kind: 'begin' | 'end'
  readonly task: string
  readonly node: string
  readonly token: string
  /** Code of the reason, where it ends. */
  readonly reason?: string
  /** By the monotonic clock of the machine, which all its processes share, in milliseconds. */
  readonly atMs: number
}

/** What the runs of one task looked like from outside. */
export interface RunReport {
  readonly runs: number
  /** Runs that began while another one was at work, by who began and who was at work. */
  readonly overlaps: readonly string[]
  /** From the end of each run to the begin of the next one, in milliseconds, by the code of the earlier. */
  readonly gapsMs: ReadonlyMap<string, readonly number[]>
}

/** Work that notes its begin and its end in a file, and does nothing else until its signal aborts. */
export function journaled (file: string, task: string, node: string) {
  return async (signal: AbortSignal, { token }: { readonly token: string }): Promise<void> => {
    const write = (kind: RunLine['kind'], reason?: string): void => {
      note(file, { kind, task, node, token, ...(reason === undefined ? {} : { reason }) })
    }
    write('begin')
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => { resolve() })
      if (signal.aborted) resolve()
    })
    write('end', (signal.reason as { readonly code?: string }).code ?? 'unknown')
  }
}

/** Notes for a process that was killed that its runs have ended, with the reason `killed`. */
export async function noteKilled (file: string, node: string): Promise<void> {
  for (const run of (await runsAtWork(file)).values()) {
    if (run.node === node) note(file, { ...run, kind: 'end', reason: 'killed' })
  }
}

/** The runs that have begun and not ended, by task. */
export async function runsAtWork (file: string): Promise<ReadonlyMap<string, Omit<RunLine, 'atMs'>>> {
  const runs = new Map<string, Omit<RunLine, 'atMs'>>()
  for (const line of await linesOf(file)) {
    const { atMs: _, ...run } = line
    if (line.kind === 'begin') runs.set(line.task, run)
    else if (runs.get(line.task)?.token === line.token) runs.delete(line.task)
  }
  return runs
}

function note (file: string, line: Omit<RunLine, 'atMs'>): void {
  const atMs = Number(process.hrtime.bigint()) / 1e6
  appendFileSync(file, `${JSON.stringify({ ...line, atMs })}\n`)
}

async function linesOf (file: string): Promise<readonly RunLine[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if ((error as { readonly code?: string }).code === 'ENOENT') return ''
    throw error
  })
  return text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as RunLine)
}

/** Reads what the runs of a task have noted. */
export async function readJournal (file: string, task: string): Promise<RunReport> {
  const lines = await linesOf(file)
  const working = new Set<string>()
  const overlaps: string[] = []
  const gapsMs = new Map<string, number[]>()
  let runs = 0
  let ended: { readonly atMs: number, readonly reason: string } | null = null
  for (const { kind, node, token, atMs, reason = '' } of lines.filter((line) => line.task === task)) {
    const run = `${node} (${token})`
    if (kind === 'end') {
      working.delete(run)
      ended = { atMs, reason }
      continue
    }
    for (const other of working) overlaps.push(`${run} while ${other}`)
    working.add(run)
    runs++
    if (ended !== null) {
      gapsMs.set(ended.reason, [...(gapsMs.get(ended.reason) ?? []), Math.round(atMs - ended.atMs)])
    }
  }
  return { runs, overlaps, gapsMs }
}
