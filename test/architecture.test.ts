import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { cyclesIn, type SourceFile, specifiersIn } from '../tools/imports.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = join(root, 'src')

type Part = 'raft' | 'gateway' | 'plugin' | 'testing' | 'cli'

const mayImport: Readonly<Record<Part, readonly Part[]>> = {
  raft: ['raft'],
  gateway: ['gateway', 'raft'],
  plugin: ['plugin', 'gateway', 'raft'],
  testing: ['testing', 'plugin', 'raft'],
  cli: ['cli', 'plugin', 'gateway', 'raft']
}

/**
 * The rooms of each part from the ground up. A room imports from the rows below its own, never from its own row or
 * above. A name with a dot is a file that stands in no room.
 */
const floors: Readonly<Record<Part, readonly (readonly string[])[]>> = {
  raft: [
    ['core'],
    ['engine.ts', 'defaults.ts'],
    ['errors.ts'],
    ['runtime'],
    ['storage', 'state', 'trust'],
    ['transport'],
    ['client', 'membership', 'snapshots'],
    ['driver', 'tools'],
    ['index.ts', 'internal.ts']
  ],
  gateway: [['options'], ['forward'], ['standalone'], ['index.ts', 'internal.ts']],
  plugin: [
    ['replicated'],
    ['options', 'environment.ts'],
    ['primitives'],
    ['cluster'],
    ['routes'],
    ['join', 'v1'],
    ['engine-factory.ts', 'closing.ts', 'credentials.ts'],
    ['cluster-node.ts'],
    ['plugin.ts'],
    ['index.ts', 'internal.ts', 'node-cron.ts']
  ],
  testing: [['virtual-time.ts'], ['virtual-network.ts'], ['test-copy.ts'], ['test-cluster.ts'], ['index.ts']],
  cli: [['flags'], ['terminal'], ['local'], ['commands'], ['main.ts']]
}

/** The rooms within raft/storage, likewise. Its two ports are at the bottom: every room may import them. */
const storageFloors: readonly (readonly string[])[] = [
  ['storage.ts'],
  ['snapshot-store.ts'],
  ['disk'],
  ['wal', 'snapshots'],
  ['data-directory.ts'],
  ['file-storage.ts', 'memory-storage.ts']
]

interface Import {
  readonly file: string
  /** As written. */
  readonly specifier: string
}

interface RelativeImport extends Import {
  /** The imported file, from src. */
  readonly target: string
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts')).sort()
const imports = files.flatMap(importsOf)

describe('the house', () => {
  it('has files to look at, and only those five parts', () => {
    expect(imports.length).toBeGreaterThan(100)
    expect(new Set(files.map(partOf))).toEqual(new Set(['raft', 'gateway', 'plugin', 'testing', 'cli']))
  })

  it('imports one way: cli or testing, plugin, gateway, raft', () => {
    expect(
      relativeImports()
        .filter(({ file, target }) => !mayImport[partOf(file)].includes(partOf(target)))
        .map(show)
    ).toEqual([])
  })

  it('reaches into another part through its index, or what it shares with its siblings', () => {
    expect(
      relativeImports()
        .filter(({ file, target }) => partOf(file) !== partOf(target) && !facesOf(partOf(target)).includes(target))
        .map(show)
    ).toEqual([])
  })

  it('leaves src only for the example app, and only in the command line', () => {
    const leaving = allRelativeImports().filter(({ target }) => target.startsWith('..'))
    expect(leaving.length).toBeGreaterThan(0)
    expect(
      leaving.filter(({ file, target }) => partOf(file) !== 'cli' || !target.startsWith(join('..', 'examples', sep)))
        .map(show)
    ).toEqual([])
  })

  it.each(['orders', 'fencing'])('has an example, %s, that imports as an app does: packages and its own files', (name) => {
    const specifiers = readdirSync(join(root, 'examples', name)).flatMap((file) =>
      specifiersIn(read(join(root, 'examples', name, file)))
    )
    expect(specifiers).toContain('fastify-raft')
    const asAnApp = /^(\.\/[a-z-]+\.ts|node:[\w/]+|@fastify\/[a-z-]+|fastify|fastify-raft(\/errors)?|pg)$/
    expect(specifiers.filter((specifier) => !asAnApp.test(specifier))).toEqual([])
  })

  it('keeps the core to itself: it imports nothing else, no package and no built-in', () => {
    const core = join('raft', 'core') + sep
    const leaving = imports.filter(
      ({ file, specifier }) =>
        file.startsWith(core) && !(specifier.startsWith('.') && targetOf(file, specifier).startsWith(core))
    )
    expect(leaving.map(show)).toEqual([])
    expect(imports.some(({ file }) => file.startsWith(core))).toBe(true)
  })

  it('imports at run time only what package.json lists for run time', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: object
      peerDependencies: object
    }
    const listed = new Set([...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)])
    const packages = imports.filter(({ specifier }) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
    expect(packages.filter(({ specifier }) => !listed.has(packageOf(specifier))).map(show)).toEqual([])
    expect(
      Object.keys(manifest.dependencies).filter(
        (name) => !packages.some(({ specifier }) => packageOf(specifier) === name)
      )
    ).toEqual([])
  })

  it('imports downwards only, from room to room', () => {
    expect(relativeImports().filter(({ file, target }) => isUpwards(file, target)).map(show)).toEqual([])
  })

  it('imports downwards only within the storage, and has the rooms that its plan shows', () => {
    const folder = join('raft', 'storage') + sep
    const roomInStorage = (path: string): string => path.slice(folder.length).split(sep)[0] ?? ''
    const floorOf = (path: string): number => storageFloors.findIndex((rooms) => rooms.includes(roomInStorage(path)))
    const upwards = relativeImports().filter(({ file, target }) =>
      file.startsWith(folder) && target.startsWith(folder) &&
      roomInStorage(file) !== roomInStorage(target) && floorOf(target) >= floorOf(file))
    expect(upwards.map(show)).toEqual([])
    const rooms = new Set(files.filter((file) => file.startsWith(folder)).map(roomInStorage))
    expect([...rooms].sort()).toEqual(storageFloors.flat().sort())
  })

  it('has no room that the plan does not show, and shows none that is not there', () => {
    for (const part of Object.keys(floors) as Part[]) {
      const rooms = new Set(files.filter((file) => partOf(file) === part).map(roomOf))
      expect([...rooms].sort()).toEqual(floors[part].flat().sort())
    }
  })

  it('takes the time in the plugin from the environment of its node, so that tests of applications can move it', () => {
    // The time of certificates is that of the world.
    const own = [join('plugin', 'routes', 'server-certificate.ts')]
    const direct = files.filter((file) => file.startsWith(`plugin${sep}`) && !own.includes(file) &&
      /\b(setTimeout|setInterval|Date\.now|performance\.now)\b/.test(read(join(source, file)).text))
    expect(direct).toEqual([])
  })

  it('has no import cycles', () => {
    expect(cyclesIn(relativeImports())).toEqual([])
  })
})

function importsOf (file: string): Import[] {
  return specifiersIn(read(join(source, file))).map((specifier) => ({ file, specifier }))
}

function read (path: string): SourceFile {
  return { path, text: readFileSync(path, 'utf8') }
}

/** Those within src. */
function relativeImports (): RelativeImport[] {
  return allRelativeImports().filter(({ target }) => !target.startsWith('..'))
}

function allRelativeImports (): RelativeImport[] {
  return imports
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map((found) => ({ ...found, target: targetOf(found.file, found.specifier) }))
}

function targetOf (file: string, specifier: string): string {
  return relative(source, resolve(source, dirname(file), specifier))
}

function partOf (file: string): Part {
  return file.split(sep)[0] as Part
}

/**
 * What other parts may import: the public face, and what is shared inside the package alone. Errors and defaults load
 * nothing else, so that the command line starts without the rest.
 */
function facesOf (part: Part): readonly string[] {
  return ['index.ts', 'internal.ts', 'errors.ts', 'defaults.ts'].map((face) => join(part, face))
}

/** The folder below the part, or the file's own name when it stands in none. */
function roomOf (file: string): string {
  return file.split(sep)[1] ?? ''
}

function isUpwards (file: string, target: string): boolean {
  if (partOf(file) !== partOf(target) || roomOf(file) === roomOf(target)) return false
  const floorOf = (path: string): number => floors[partOf(path)].findIndex((rooms) => rooms.includes(roomOf(path)))
  return floorOf(target) >= floorOf(file)
}

function packageOf (specifier: string): string {
  return specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
}

function show ({ file, specifier }: Import): string {
  return `${file} imports ${specifier}`
}
