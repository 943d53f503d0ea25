import { existsSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { optionsSchema } from '../../src/plugin/index.ts'
import { errorTable } from '../../src/raft/index.ts'
import { read, root } from './support/snippets.ts'

/** The public surface of Catga.Cluster 0.1.1: types, and their members. */
const surface: Readonly<Record<string, readonly string[]>> = {
  IClusterCoordinator: [
    'IsLeader', 'LeaderEndpoint', 'NodeId', 'WaitForLeadershipAsync', 'ExecuteIfLeaderAsync', 'ExecuteIfLeaderAsync<T>',
    'LeadershipChanged'
  ],
  ClusterCoordinator: ['ctor', 'Dispose'],
  'LeaderOnlyBehavior<TRequest, TResponse>': ['ctor', 'HandleAsync'],
  ILeaderOnlyCommand: [],
  'ForwardToLeaderBehavior<TRequest, TResponse>': ['ctor', 'HandleAsync'],
  IClusterForwarder: ['ForwardAsync<TRequest, TResponse>'],
  HttpClusterForwarder: ['ctor', 'ForwardAsync'],
  DistributedLock: ['TryAcquireAsync', 'IsValid', 'DisposeAsync'],
  SingletonTaskRunner: ['ctor', 'TaskName', 'ExecuteLeaderTaskAsync', 'ExecuteAsync'],
  ClusterHealthCheck: ['ctor', 'CheckHealthAsync'],
  RaftClusterConfiguration: [
    'LocalNodeEndpoint', 'Members', 'ElectionTimeout', 'HeartbeatInterval', 'PersistentStatePath', 'FromConfiguration',
    'CreateLocalCluster'
  ],
  ClusterOptions: ['EnableHttpForwarder', 'ForwardTimeout'],
  ClusterServiceCollectionExtensions: [
    'AddCatgaCluster', 'AddLeaderOnlyBehavior', 'AddForwardToLeaderBehavior', 'AddSingletonTask', 'AddClusterHealthCheck'
  ],
  '[LeaderOnly]': [],
  '[ClusterSingleton]': [],
  '[Broadcast]': [],
  '[Sharded]': [],
  '[DistributedLock]': [],
  '[Idempotent]': [],
  '[Retry]': [],
  '[Timeout]': [],
  '[CircuitBreaker]': []
}

interface Row {
  readonly theirs: string
  readonly ours: string
}

const rows: readonly Row[] = read('docs/parity.md').split('\n').flatMap((line) => {
  const [, theirs, ours] = /^\| `([^`]+)` \| (.+?) \|/.exec(line) ?? []
  return theirs === undefined || ours === undefined ? [] : [{ theirs, ours }]
})

const applicationMembers = new Set(['register', 'close', 'clusterRoutes'])
const clusterMembers = membersOf('src/plugin/cluster/cluster.ts', 'Cluster')
const marks = membersOf('src/plugin/routes/fastify-types.ts', 'ClusterRouteMarks')

describe('docs/parity.md', () => {
  it('has a row for each public type of Catga.Cluster and each of its members, and no others', () => {
    const expected = Object.entries(surface).flatMap(([type, members]) => {
      const [name] = type.split('<')
      return [type, ...members.map((member) => `${name}.${member}`)]
    })
    expect(rows.map(({ theirs }) => theirs)).toEqual(expected)
  })

  it.each(rows)('$theirs: names something that exists, $ours', ({ ours }) => {
    expect(exists(ours)).toBe(true)
  })

  it('names codes and options that exist in what differs', () => {
    const text = read('docs/parity.md')
    const codes = [...text.matchAll(/`(RAFT_\w+)`/g)].map(([, code]) => code)
    expect(codes.length).toBeGreaterThan(1)
    expect(codes.filter((code) => !errorTable.some((known) => known.code === code))).toEqual([])
    const used = [...text.matchAll(/`app\.cluster\.(\w+)`/g)].map(([, name = '']) => name)
    expect(used.filter((name) => !clusterMembers.has(name))).toEqual([])
  })

  it('would find out a counterpart that does not exist', () => {
    for (const wrong of ['`app.cluster.nothing`', 'option `nothing`', '`nothing`', '`v1/nothing`', '`fastify-raft nothing`']) {
      expect(exists(wrong)).toBe(false)
    }
  })
})

/** Whether what a cell names is in this package. */
function exists (cell: string): boolean {
  if (cell === 'none') return true
  const [, isOption, name = ''] = /^(option )?`([^`]+)`$/.exec(cell) ?? []
  if (isOption !== undefined) return hasOption(name.split('.'))
  const after = (prefix: string): string | null => name.startsWith(prefix) ? name.slice(prefix.length) : null
  const checks: readonly boolean[] = [
    name === 'app.cluster' || marks.has(name),
    clusterMembers.has(after('app.cluster.') ?? ''),
    applicationMembers.has(after('app.') ?? ''),
    read('src/plugin/v1/direct-routes.ts').includes(`'${after('v1/') ?? '-'}'`),
    existsSync(join(root, `src/cli/commands/${after('fastify-raft ') ?? '-'}.ts`))
  ]
  return checks.includes(true)
}

function hasOption ([first = '', second]: readonly string[]): boolean {
  const schema = (optionsSchema.properties as Readonly<Record<string, { readonly properties?: object }>>)[first]
  return schema !== undefined && (second === undefined || second in (schema.properties ?? {}))
}

/** The names of an interface's own members. */
function membersOf (path: string, name: string): ReadonlySet<string> {
  const file = ts.createSourceFile(path, read(path), ts.ScriptTarget.ES2023)
  const found = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isInterfaceDeclaration(node) && node.name.text === name) {
      for (const { name: member } of node.members) {
        if (member !== undefined && ts.isIdentifier(member)) found.add(member.text)
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}
