import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

function read (path: string): string {
  return readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')
}

/** Titles of the tests in a file, as they are written there. */
function titlesIn (path: string): ReadonlySet<string> {
  const titles = new Set<string>()
  const visit = (node: ts.Node): void => {
    const title = ts.isCallExpression(node) ? node.arguments[0] : undefined
    if (ts.isCallExpression(node) && /^it\b/.test(node.expression.getText()) && title !== undefined) {
      titles.add(title.getText().slice(1, -1))
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true))
  return titles
}

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
    expect(named.filter(({ path, title }) => !titlesIn(path).has(title))).toEqual([])
  })
})
