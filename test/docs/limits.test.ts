import { existsSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { waitLimits } from '../../src/plugin/primitives/waits.ts'
import { clientLimits } from '../../src/plugin/v1/client-requests.ts'
import { errorTable } from '../../src/raft/errors.ts'
import { peerLimits } from '../../src/raft/transport/peer-limits.ts'
import { read, root } from './support/snippets.ts'

/** A row of a table of limits. */
interface Row {
  readonly limit: string
  readonly value: number
  /** The constant, or the option, that has this value. */
  readonly name: string
  readonly source: string
  readonly gets: string
  readonly tests: readonly string[]
}

const security = read('docs/security.md')
const document = security.slice(security.indexOf('## Limits'))
const lines = document.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| limit |'))
const rowForm = /^\| ([^|]+) \| ([\d,]+) \(\[`(\w+)`\]\(\.\.\/(src\/[^)]+)\)\)(?:, option `([\w.]+)`)? \| ([^|]+) \| ([^|]+) \|$/
const rows = lines.map(toRow)

function toRow (line: string): Row {
  const [, limit = line, value = '', name = '', source = '', , gets = '', tests = ''] = rowForm.exec(line) ?? []
  return {
    limit,
    value: Number(value.replaceAll(',', '')),
    name,
    source,
    gets,
    tests: [...tests.matchAll(/`([^`]+)`/g)].map(([, path]) => path ?? '')
  }
}

/** The number that a file gives a name: as a constant, a member of an object, or the default of an option. */
function numberIn (path: string, name: string): number | null {
  let found: number | null = null
  const visit = (node: ts.Node): void => {
    const hasValue = ts.isVariableDeclaration(node) || ts.isPropertyAssignment(node) || ts.isPropertyDeclaration(node)
    if (hasValue && node.name.getText() === name && node.initializer !== undefined) found ??= valueOf(node.initializer)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true))
  return found
}

function valueOf (node: ts.Expression): number | null {
  if (ts.isNumericLiteral(node)) return Number(node.text)
  if (ts.isPropertyAccessExpression(node)) return knownNumber(node.name.text)
  if (ts.isCallExpression(node)) {
    // A schema: its default is the last argument, or the member of that name.
    const last = node.arguments.at(-1)
    if (last === undefined) return null
    if (!ts.isObjectLiteralExpression(last)) return valueOf(last)
    const member = last.properties.find((property) => property.name?.getText() === 'default')
    return member !== undefined && ts.isPropertyAssignment(member) ? valueOf(member.initializer) : null
  }
  if (!ts.isBinaryExpression(node)) return null
  const right = valueOf(node.right)
  // `options.maxBytes ?? 16 * 1024 ** 3`
  if (node.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken) return right
  const left = valueOf(node.left)
  if (left === null || right === null) return null
  switch (node.operatorToken.kind) {
    case ts.SyntaxKind.PlusToken: return left + right
    case ts.SyntaxKind.AsteriskToken: return left * right
    case ts.SyntaxKind.AsteriskAsteriskToken: return left ** right
    default: return null
  }
}

/** A number that another object of limits has. */
function knownNumber (name: string): number | null {
  return numberIn('src/plugin/replicated/limits.ts', name) ?? numberIn('src/gateway/forward/types.ts', name)
}

describe('the limits in docs/security.md', () => {
  it('are rows of one form', () => {
    expect(rows.length).toBeGreaterThan(70)
    expect(rows.filter(({ name }) => name === '').map(({ limit }) => limit)).toEqual([])
  })

  it.each(rows)('$limit: $value, as $source says of $name, held by tests that exist', (row) => {
    expect(numberIn(row.source, row.name)).toBe(row.value)
    expect(row.tests.length).toBeGreaterThan(0)
    expect(row.tests.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it('name codes that exist, with their statuses', () => {
    const statuses = new Map(errorTable.map(({ code, statusCode }) => [code, statusCode]))
    const answers = rows.flatMap(({ gets }) => [...gets.matchAll(/(?:(\d{3}) )?`(RAFT_\w+)`/g)])
    expect(answers.length).toBeGreaterThan(40)
    for (const [answer, status, code = ''] of answers) {
      expect(statuses.has(code), answer).toBe(true)
      if (status !== undefined) expect(Number(status), answer).toBe(statuses.get(code))
    }
  })

  it.each([
    ['src/raft/transport/peer-limits.ts', peerLimits],
    ['src/plugin/v1/client-requests.ts', clientLimits],
    ['src/plugin/primitives/waits.ts', waitLimits]
  ])('are all that %s has', (source, limits) => {
    const named = rows.filter((row) => row.source === source).map(({ name }) => name)
    expect(named.sort()).toEqual(Object.keys(limits).sort())
  })

  it('name tests that exist in the text as well', () => {
    const paths = [...document.matchAll(/`(test\/[^`]+\.test\.ts)`/g)].map(([, path]) => path ?? '')
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})
