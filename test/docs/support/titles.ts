import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { read, root } from './snippets.ts'

/** All test files, as paths from the root of the repository. */
export const testFiles: readonly string[] = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.test.ts')).map((path) => `test/${path.replaceAll('\\', '/')}`).sort()

/** Titles in a file, each with what it is a title of. */
interface Titles {
  readonly it: ReadonlySet<string>
  readonly describe: ReadonlySet<string>
}

const parsed = new Map<string, Titles>()

/** Titles of the tests and groups in a file, as they are written there: those of `each` with their placeholders. */
export function titlesIn (path: string): Titles {
  const known = parsed.get(path)
  if (known !== undefined) return known
  const titles = { it: new Set<string>(), describe: new Set<string>() }
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const [kind] = /^(it|describe)\b/.exec(node.expression.getText()) ?? []
      const title = node.arguments[0]
      const isText = title !== undefined && (ts.isStringLiteralLike(title) || ts.isTemplateExpression(title))
      if (isText && (kind === 'it' || kind === 'describe')) titles[kind].add(title.getText().slice(1, -1))
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true))
  parsed.set(path, titles)
  return titles
}
