import { posix } from 'node:path'
import ts from 'typescript'

/** A file of a tree, its path from the root of that tree. */
export interface SourceFile {
  readonly path: string
  readonly text: string
}

/** One file imports another; both are paths from the root of the tree. */
export interface Edge {
  readonly file: string
  readonly target: string
}

/** Files of one room import files of another. */
export interface Arrow {
  readonly from: string
  readonly to: string
  /** How many imports it stands for. */
  readonly imports: number
}

/** Figures of the graph of imports of a tree. */
export interface Figures {
  readonly files: number
  readonly rooms: number
  /** Files that stand in no room: each is counted as a room. */
  readonly looseFiles: number
  /** Imports of one file by another, each pair once. */
  readonly imports: number
  /** Those between files of different rooms. */
  readonly importsBetweenRooms: number
  /** The file that imports most others; null: there is no import. */
  readonly mostImports: { readonly file: string, readonly imports: number } | null
  /** Distinct pairs of rooms of which one imports the other. */
  readonly arrows: readonly Arrow[]
  /** Each cycle of files once, as its files in order. */
  readonly cycles: readonly string[]
}

/** The specifiers that a file imports or re-exports, as written. Imports of types count as well. */
export function specifiersIn ({ path, text }: SourceFile): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const specifier = (ts.isImportDeclaration(node) || ts.isExportDeclaration(node))
      ? node.moduleSpecifier
      : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
        ? node.arguments[0]
        : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined
    if (specifier !== undefined && ts.isStringLiteral(specifier)) found.push(specifier.text)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true))
  return found
}

/** The imports among the files of a tree, each pair once. */
export function edgesOf (files: readonly SourceFile[]): Edge[] {
  const known = new Set(files.map(({ path }) => path))
  return files.flatMap((file) => {
    const targets = new Set(
      specifiersIn(file)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => posix.normalize(posix.join(posix.dirname(file.path), specifier)))
    )
    return [...targets].filter((target) => known.has(target)).map((target) => ({ file: file.path, target }))
  })
}

/** The room of a file: its part and the folder in it, or the file itself if it stands in no folder of its part. */
export function roomOf (path: string): string {
  return path.split('/').slice(0, 2).join('/')
}

/** Each cycle once, as the files along it. */
export function cyclesIn (edges: readonly Edge[]): string[] {
  const next = new Map<string, string[]>()
  for (const { file, target } of edges) next.set(file, [...next.get(file) ?? [], target])
  const state = new Map<string, 'open' | 'done'>()
  const cycles: string[] = []
  const walk = (file: string, path: readonly string[]): void => {
    if (state.get(file) === 'done') return
    if (state.get(file) === 'open') {
      cycles.push([...path.slice(path.indexOf(file)), file].join(' > '))
      return
    }
    state.set(file, 'open')
    for (const target of next.get(file) ?? []) walk(target, [...path, file])
    state.set(file, 'done')
  }
  for (const file of next.keys()) walk(file, [])
  return cycles
}

/** Counts the files, rooms and imports of a tree. */
export function figuresOf (files: readonly SourceFile[]): Figures {
  const edges = edgesOf(files)
  const between = edges.filter(({ file, target }) => roomOf(file) !== roomOf(target))
  const counts = new Map<string, Arrow>()
  for (const { file, target } of between) {
    const [from, to] = [roomOf(file), roomOf(target)]
    const known = counts.get(`${from} ${to}`)
    counts.set(`${from} ${to}`, { from, to, imports: (known?.imports ?? 0) + 1 })
  }
  const rooms = new Set(files.map(({ path }) => roomOf(path)))
  return {
    files: files.length,
    rooms: rooms.size,
    looseFiles: files.filter(({ path }) => roomOf(path) === path).length,
    imports: edges.length,
    importsBetweenRooms: between.length,
    mostImports: mostImports(edges),
    arrows: [...counts.values()].sort((a, b) => b.imports - a.imports),
    cycles: cyclesIn(edges)
  }
}

function mostImports (edges: readonly Edge[]): Figures['mostImports'] {
  const counts = new Map<string, number>()
  for (const { file } of edges) counts.set(file, (counts.get(file) ?? 0) + 1)
  const [most] = [...counts].sort(([, a], [, b]) => b - a)
  return most === undefined ? null : { file: most[0], imports: most[1] }
}
