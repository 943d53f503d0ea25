import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Figures, figuresOf, type SourceFile } from './imports.ts'

// npm run graph                     figures of src as it is
// npm run graph -- --rev HEAD~1     figures of src at a revision of git
// npm run graph -- --arrows         and every arrow between two rooms, with the number of imports that it stands for
// Prints one line of JSON for the whole, one for each part of src, and one for each arrow.
const { values } = parseArgs({
  options: { rev: { type: 'string' }, arrows: { type: 'boolean', default: false } },
  strict: true
})

const root = 'src/'

function filesNow (): SourceFile[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

function filesAt (revision: string): SourceFile[] {
  const git = (...args: readonly string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', maxBuffer: 67_108_864 })
  return git('ls-tree', '-r', '--name-only', revision, root)
    .split('\n')
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({ path: path.slice(root.length), text: git('show', `${revision}:${path}`) }))
}

function print (line: object): void {
  process.stdout.write(`${JSON.stringify({ rev: values.rev ?? null, ...line })}\n`)
}

/** One line for a tree, with numbers in the place of lists. */
function summary (part: string, { arrows, cycles, ...figures }: Figures): object {
  return { part, ...figures, roomArrows: arrows.length, cycles: cycles.length }
}

const files = values.rev === undefined ? filesNow() : filesAt(values.rev)
const whole = figuresOf(files)
print(summary('src', whole))
for (const part of [...new Set(files.map(({ path }) => path.split('/')[0] ?? ''))].sort()) {
  print(summary(`src/${part}`, figuresOf(files.filter(({ path }) => path.startsWith(`${part}/`)))))
}
for (const cycle of whole.cycles) print({ cycle })
if (values.arrows) for (const arrow of whole.arrows) print(arrow)
