import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { requestBytes, writeFor } from './writes-load.ts'

/** What one turn of load has shown. */
export interface ProxyTurn {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
}

/** A request that is sent again and again. */
export interface LoadRequest {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** JSON; empty: none. */
  readonly body: string
}

/** Sends one request from a number of connections for a while, one after the other on each. */
export type ProxyLoad = (
  url: string,
  request: LoadRequest,
  connections: number,
  milliseconds: number
) => Promise<ProxyTurn>

const run = promisify(execFile)

/**
 * The load of `wrk` when it is on the path, else that of this process, which takes more of the processors that it
 * shares with the servers. Both reject when an answer is not a success. `directory` takes the scripts of wrk.
 */
export async function chooseLoad (directory: string): Promise<{ readonly name: string, readonly load: ProxyLoad }> {
  try {
    // Without a URL it prints how it is called, and that is a failure.
    await run('wrk', ['--version'])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { name: 'own client', load: loadHere }
  }
  return { name: 'wrk', load: (...turn) => loadByWrk(directory, ...turn) }
}

const loadHere: ProxyLoad = async (url, { method, path, body }, connections, milliseconds) => {
  const request = requestBytes(method, new URL(path, url), body)
  const { writes, elapsedMs, latenciesMs } = await writeFor({ url, requests: [request] }, connections, milliseconds)
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  return {
    requests: writes,
    requestsPerSecond: 1_000 * writes / elapsedMs,
    p50Ms: sorted[sorted.length >> 1] ?? Number.NaN
  }
}

async function loadByWrk (directory: string, ...turn: Parameters<ProxyLoad>): Promise<ProxyTurn> {
  const [url, { method, path, body }, connections, milliseconds] = turn
  const script = join(directory, `${method}.lua`)
  await writeFile(script, [
    `wrk.method = ${JSON.stringify(method)}`,
    ...(body === '' ? [] : [`wrk.body = ${JSON.stringify(body)}`, 'wrk.headers["content-type"] = "application/json"']),
    'done = function (summary, latency)',
    '  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout',
    '  print(string.format("turn %d %d %d %.1f", summary.requests, summary.duration, failed, latency:percentile(50)))',
    'end'
  ].join('\n'))
  const duration = `${Math.max(1, Math.round(milliseconds / 1_000))}s`
  const { stdout } = await run('wrk', [
    '--threads', '1', '--connections', String(connections), '--duration', duration, '--script', script,
    new URL(path, url).href
  ])
  const [, requests, micros, failed, p50Micros] = /^turn (\d+) (\d+) (\d+) ([\d.]+)$/m.exec(stdout) ?? []
  if (p50Micros === undefined || failed !== '0') throw new Error(`wrk says that requests failed: ${stdout}`)
  return {
    requests: Number(requests),
    requestsPerSecond: 1_000_000 * Number(requests) / Number(micros),
    p50Ms: Number(p50Micros) / 1_000
  }
}
