import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const mebibyte = 1_048_576
const piece = Buffer.alloc(65_536, 'x')
/** How often memory is looked at, in milliseconds. */
const lookMs = 20

/** A process that carries requests. */
export interface Carrier {
  readonly name: string
  readonly url: string
  readonly pid: number
}

/** What a transfer cost a carrier. */
export interface Transfer {
  readonly name: string
  readonly direction: 'up' | 'down'
  readonly bytes: number
  readonly seconds: number
  /** Most resident memory over that before, in bytes. */
  readonly growth: number
}

/** Resident memory of a process, in bytes. */
export function residentBytes (pid: number): number {
  const [, kilobytes = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1_024
}

/** Sends so many bytes up over a carrier, or gets them, with a slow end; measures its memory meanwhile. */
export async function transfer (carrier: Carrier, direction: 'up' | 'down', bytes: number): Promise<Transfer> {
  const { name, url, pid } = carrier
  const before = residentBytes(pid)
  const startedAtMs = performance.now()
  let most = before
  const looker = setInterval(() => { most = Math.max(most, residentBytes(pid)) }, lookMs)
  try {
    const passed = direction === 'up' ? await upload(url, bytes) : await download(url, bytes)
    if (passed !== bytes) throw new Error(`${passed} of ${bytes} bytes came through`)
  } finally {
    clearInterval(looker)
  }
  return { name, direction, bytes, seconds: (performance.now() - startedAtMs) / 1_000, growth: most - before }
}

/** The leader reads with pauses. */
async function upload (url: string, bytes: number): Promise<number> {
  const call = request(`${url}/sink`, {
    method: 'POST', agent: false, headers: { 'content-type': 'application/octet-stream', 'content-length': bytes }
  })
  const answered = new Promise<IncomingMessage>((resolve, reject) => { call.on('response', resolve).on('error', reject) })
  for (let left = bytes; left > 0; left -= piece.length) {
    const isRoom = call.write(piece.subarray(0, Math.min(left, piece.length)))
    if (!isRoom) await new Promise((resolve) => call.once('drain', resolve))
  }
  call.end()
  let text = ''
  for await (const chunk of (await answered).setEncoding('utf8')) text += String(chunk)
  return (JSON.parse(text) as { readonly bytes: number }).bytes
}

/** The client reads with pauses. */
async function download (url: string, bytes: number): Promise<number> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request(`${url}/source?bytes=${bytes}`, { agent: false }, resolve).on('error', reject).end()
  })
  let read = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    if (Math.floor((read + chunk.length) / mebibyte) > Math.floor(read / mebibyte)) await sleep(1)
    read += chunk.length
  }
  return read
}
