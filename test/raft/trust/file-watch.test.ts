import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FileWatch } from '../../../src/raft/trust/file-watch.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

const looks = vi.hoisted(() => ({ hung: null as Promise<never> | null, count: 0 }))
vi.mock('node:fs/promises', async (importOriginal) => {
  const actual = await importOriginal<{ readonly stat: (path: string, options: object) => Promise<unknown> }>()
  const stat = async (path: string, options: object): Promise<unknown> => {
    looks.count++
    return await (looks.hung ?? actual.stat(path, options))
  }
  return { ...actual, stat }
})

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

  it('looks once at a time, so that a disk which does not answer keeps one thread alone, and tells nothing once closed', async () => {
    let answer = (): void => {}
    looks.hung = new Promise<never>((_resolve, reject) => {
      answer = () => { reject(new Error('the disk is gone')) }
    })
    looks.count = 0
    let told = 0
    const watch = new FileWatch({ paths: ['x'], changed: () => { told++ }, logger: new MemoryLogger() })
    try {
      await until('the first look', () => looks.count === 1)
      await delay(2_500)
      expect(looks.count).toBe(1)
    } finally {
      watch.close()
      looks.hung = null
      answer()
    }
    await delay(100)
    expect(told).toBe(0)
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
