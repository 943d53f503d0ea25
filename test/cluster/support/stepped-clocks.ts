import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pollUntil } from '../../../src/cli/local/polling.ts'

/** What runs in each node before its program: the wall clock is ahead by what a file says, and another file says so. */
const preload = `
import { readFileSync, writeFileSync } from 'node:fs'
const id = process.argv[process.argv.indexOf('--id') + 1]
const file = process.env.STEPPED_CLOCKS + '/' + id
const now = Date.now
let aheadMs = 0
const look = () => {
  let text = '0'
  try { text = readFileSync(file, 'utf8') } catch {}
  const read = Number(text)
  if (read === aheadMs || !Number.isFinite(read)) return
  aheadMs = read
  writeFileSync(file + '.seen', text)
}
Date.now = () => now() + aheadMs
look()
setInterval(look, 20).unref()
`

/** Wall clocks of node processes that a test can set. The nodes must be started, and started again, until `end`. */
export class SteppedClocks {
  readonly #directory = mkdtempSync(join(tmpdir(), 'stepped-clocks-'))
  readonly #before = process.env.NODE_OPTIONS

  constructor () {
    process.env.STEPPED_CLOCKS = this.#directory
    process.env.NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(preload)}`
  }

  /** Sets the wall clock of a node ahead of the true time by this much, or behind it, and waits until it is. */
  async set (id: string, aheadMs: number): Promise<void> {
    const file = join(this.#directory, id)
    writeFileSync(file, String(aheadMs))
    await pollUntil(`${id} to have its clock set`, 20_000, () => {
      try {
        return Promise.resolve(readFileSync(`${file}.seen`, 'utf8') === String(aheadMs) ? true : null)
      } catch {
        return Promise.resolve(null)
      }
    })
  }

  end (): void {
    delete process.env.STEPPED_CLOCKS
    if (this.#before === undefined) delete process.env.NODE_OPTIONS
    else process.env.NODE_OPTIONS = this.#before
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
