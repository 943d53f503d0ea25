import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import * as errors from '../../src/raft/errors.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const kinds = errors.errorTable.map((kind) => ({ ...kind, error: new kind.ErrorClass('a', 'b', 'c') }))

describe('errors', () => {
  it('have codes of their own that start with RAFT_', () => {
    expect(kinds.filter(({ error }) => !error.code.startsWith('RAFT_'))).toEqual([])
    expect(new Set(kinds.map(({ error }) => error.code)).size).toBe(kinds.length)
  })

  it('stand in the table with their code and status, each class once', () => {
    expect(kinds.map(({ error }) => [error.code, error.statusCode])).toEqual(
      kinds.map(({ code, statusCode }) => [code, statusCode])
    )
    const classes = Object.entries(errors).filter(([name]) => /^[A-Z]\w*Error$/.test(name)).map(([, value]) => value)
    expect(new Set<unknown>(kinds.map(({ ErrorClass }) => ErrorClass))).toEqual(new Set<unknown>(classes))
    expect(classes).toHaveLength(kinds.length)
  })

  it('are recognised among all other errors', () => {
    expect(kinds.every(({ error }) => errors.isRaftError(error))).toBe(true)
    const others = [new Error('RAFT_BUSY'), Object.assign(new Error('x'), { code: 'ENOSPC' }), { code: 'RAFT_BUSY' }, null]
    expect(others.filter((other) => errors.isRaftError(other))).toEqual([])
  })

  it('keep their cause', () => {
    const cause = new Error('why')
    expect(new errors.StorageFailedError('x', { cause }).cause).toBe(cause)
  })

  it('with status 503 carry retry-after, also when a route of the application throws them', async () => {
    const app = fastify()
    for (const { code, error } of kinds) app.get(`/${code}`, () => { throw error })
    for (const { code, error } of kinds) {
      const { headers, statusCode } = await app.inject(`/${code}`)
      expect([code, statusCode, headers['retry-after']]).toEqual([
        code,
        error.statusCode,
        error.statusCode === 503 ? '1' : undefined
      ])
    }
    await app.close()
  })
})

/** The comment on each class, by code. */
function meaningsByCode (): ReadonlyMap<string, string> {
  const text = readFileSync(join(root, 'src/raft/errors.ts'), 'utf8')
  const file = ts.createSourceFile('errors.ts', text, ts.ScriptTarget.Latest, true)
  const meanings = file.statements.flatMap((statement): Array<[string, string]> => {
    const code = /= define\(\s*'(RAFT_\w+)'/.exec(statement.getText())?.[1]
    const [comment] = ts.getJSDocCommentsAndTags(statement)
    return code === undefined || comment === undefined ? [] : [[code, String(comment.comment).replace(/\s+/g, ' ')]]
  })
  return new Map(meanings)
}

function sourceFiles (): string[] {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  return files.filter((path) => path.endsWith('.ts')).map((path) => join(root, 'src', path))
}

describe('codes in the source', () => {
  it('all have a class', () => {
    const known = new Set(kinds.map(({ code }) => code))
    const used = sourceFiles().flatMap((path) => [...readFileSync(path, 'utf8').matchAll(/(?<![A-Z_])RAFT_[A-Z_]*[A-Z]/g)].flat())
    expect([...new Set(used)].filter((code) => !known.has(code))).toEqual([])
    expect(used.length).toBeGreaterThan(kinds.length)
  })

  it('are recognised in one place', () => {
    const places = sourceFiles().filter((path) => readFileSync(path, 'utf8').includes("startsWith('RAFT_"))
    expect(places).toEqual([join(root, 'src/raft/errors.ts')])
  })
})

describe('the table of errors in the README', () => {
  it('names every code with its status, its meaning and what to do', () => {
    const rows = readFileSync(join(root, 'README.md'), 'utf8').split('\n').filter((line) => line.startsWith('| `RAFT_'))
    const meanings = meaningsByCode()
    expect(rows).toEqual(
      kinds.map(({ code, statusCode, action }) => `| \`${code}\` | ${statusCode} | ${meanings.get(code)} | ${action} |`)
    )
  })
})
