import { describe, expect, it } from 'vitest'
import { read } from './snippets.ts'
import { titlesIn } from './titles.ts'

describe('docs/consensus.md', () => {
  const lines = read('docs/consensus.md').split('\n')
  const rows = lines.filter((line) => line.startsWith('| ') && !/^\| (promise|what is shown) /.test(line))
  const named = rows.flatMap((row) =>
    [...row.matchAll(/`(test\/[^`]+\.test\.ts)`: "([^"]+)"/g)].map(([, path = '', title = '']) => ({ path, title }))
  )

  it('names a test for every promise', () => {
    expect(rows.length).toBeGreaterThan(30)
    expect(rows.filter((row) => !/`test\/[^`]+`: "/.test(row))).toEqual([])
  })

  it('names only tests that exist', () => {
    expect(named.length).toBeGreaterThanOrEqual(rows.length)
    expect(named.filter(({ path, title }) => !titlesIn(path).it.has(title))).toEqual([])
  })
})
