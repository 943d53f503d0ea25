import { describe, expect, it } from 'vitest'
import { cyclesIn, edgesOf, figuresOf, roomOf, specifiersIn } from '../../tools/imports.ts'

/** Two parts, one with two rooms and a file beside them, the other with one room. */
const tree = [
  { path: 'lower/index.ts', text: "export * from './store/map.ts'\nexport type { Log } from './log/log.ts'" },
  { path: 'lower/store/map.ts', text: "import { Log } from '../log/log.ts'\nimport type { Entry } from '../log/entry.ts'" },
  { path: 'lower/log/log.ts', text: "import { Entry } from './entry.ts'\nimport { join } from 'node:path'" },
  { path: 'lower/log/entry.ts', text: 'export interface Entry {}' },
  {
    path: 'upper/app/app.ts',
    text: "import { map } from '../../lower/index.ts'\nawait import('../../lower/index.ts')\n" +
      "type T = import('../../lower/log/log.ts').Log\nimport x from '../../outside.ts'"
  }
]

describe('the graph of imports', () => {
  it('finds imports, re-exports, dynamic imports and types', () => {
    expect(specifiersIn({ path: 'a.ts', text: tree.map(({ text }) => text).join('\n') })).toEqual([
      './store/map.ts',
      './log/log.ts',
      '../log/log.ts',
      '../log/entry.ts',
      './entry.ts',
      'node:path',
      '../../lower/index.ts',
      '../../lower/index.ts',
      '../../lower/log/log.ts',
      '../../outside.ts'
    ])
  })

  it('joins files of the tree, each pair once', () => {
    expect(edgesOf(tree).map(({ file, target }) => `${file} > ${target}`)).toEqual([
      'lower/index.ts > lower/store/map.ts',
      'lower/index.ts > lower/log/log.ts',
      'lower/store/map.ts > lower/log/log.ts',
      'lower/store/map.ts > lower/log/entry.ts',
      'lower/log/log.ts > lower/log/entry.ts',
      'upper/app/app.ts > lower/index.ts',
      'upper/app/app.ts > lower/log/log.ts'
    ])
  })

  it('takes the folder below the part for the room, and a file beside the folders for one of its own', () => {
    expect(['lower/log/deep/er.ts', 'lower/log/log.ts', 'lower/index.ts'].map(roomOf)).toEqual([
      'lower/log',
      'lower/log',
      'lower/index.ts'
    ])
  })

  it('counts files, rooms, imports and the arrows between rooms', () => {
    expect(figuresOf(tree)).toEqual({
      files: 5,
      rooms: 4,
      looseFiles: 1,
      imports: 7,
      importsBetweenRooms: 6,
      mostImports: { file: 'lower/index.ts', imports: 2 },
      arrows: [
        { from: 'lower/store', to: 'lower/log', imports: 2 },
        { from: 'lower/index.ts', to: 'lower/store', imports: 1 },
        { from: 'lower/index.ts', to: 'lower/log', imports: 1 },
        { from: 'upper/app', to: 'lower/index.ts', imports: 1 },
        { from: 'upper/app', to: 'lower/log', imports: 1 }
      ],
      cycles: []
    })
    expect(figuresOf([])).toMatchObject({ files: 0, rooms: 0, mostImports: null, arrows: [], cycles: [] })
  })

  it('finds each cycle once, of whatever length', () => {
    const edge = (file: string, target: string) => ({ file, target })
    expect(cyclesIn([edge('a', 'b'), edge('b', 'c'), edge('c', 'a'), edge('c', 'd'), edge('d', 'd')])).toEqual([
      'a > b > c > a',
      'd > d'
    ])
    expect(figuresOf([...tree, { path: 'lower/log/entry.ts', text: "import '../index.ts'" }]).cycles).not.toEqual([])
  })
})
