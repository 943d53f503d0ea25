import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileWatch } from '../../../src/raft/trust/file-watch.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

let directory = ''
beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'watch-')) })
afterEach(() => { rmSync(directory, { recursive: true }) })

describe('a watch over files', () => {
  it('tells at the first look, and then when one of them changes, comes or goes', async () => {
    const paths = ['one', 'two'].map((name) => join(directory, name)) as [string, string]
    writeFileSync(paths[0], 'a')
    let told = 0
    const watch = new FileWatch({ paths, changed: () => { told++ }, logger: new MemoryLogger() })
    try {
      await until('the first look', () => told === 1)
      await delay(1_500)
      expect(told).toBe(1)
      writeFileSync(paths[1], 'b')
      await until('the second file', () => told === 2)
      rmSync(paths[0])
      await until('the first file has gone', () => told === 3)
    } finally {
      watch.close()
    }
    writeFileSync(paths[0], 'c')
    await delay(1_500)
    expect(told).toBe(3)
  }, 30_000)

  it('goes on when the files cannot be read again', async () => {
    const path = join(directory, 'one')
    const logger = new MemoryLogger()
    let told = 0
    const changed = (): void => {
      told++
      throw new Error('unreadable')
    }
    const watch = new FileWatch({ paths: [path], changed, logger })
    try {
      await until('the first look', () => told === 1)
      writeFileSync(path, 'a')
      await until('the second look', () => told === 2)
      expect(logger.messages('error')).toEqual(Array(2).fill('looking at files for changes failed'))
    } finally {
      watch.close()
    }
  }, 30_000)
})
