/** How much of the tests runs, and on which versions of Node.js. */
export type Length = 'short' | 'long'

/** One run of vitest: a project of vitest.config.ts, and the files of it; all when there are none. */
export interface Suite {
  readonly project: string
  readonly files: readonly string[]
}

/** What runs on which major versions, and what is left out, in words. */
export interface Plan {
  readonly majors: readonly number[]
  readonly suites: readonly Suite[]
  readonly leftOut: readonly string[]
  /** A run of one suite that takes longer is ended and counts as failed. */
  readonly suiteTimeoutMs: number
}

/** Every major version that is tested, the oldest first. The oldest is that of `engines` in package.json. */
export const majors: readonly number[] = [20, 22, 24, 26]

/**
 * What depends on the runtime: sockets, HTTP, streams, worker threads, files and clocks. The core is free of them, and
 * most rules of routes and of the gateway are as well.
 */
const quickUnitFiles: readonly string[] = [
  'test/gateway/forward',
  'test/gateway/standalone/gateway.test.ts',
  'test/gateway/standalone/real-nodes.test.ts',
  'test/plugin/cluster/closing.test.ts',
  'test/plugin/cluster/three-nodes.test.ts',
  'test/plugin/routes/certificates.test.ts',
  'test/plugin/routes/client-signal.test.ts',
  'test/plugin/routes/forward.test.ts',
  'test/plugin/routes/forwarded-requests.test.ts',
  'test/plugin/routes/handler-timeout.test.ts',
  'test/plugin/routes/hop-guard.test.ts',
  'test/plugin/routes/http2-clients.test.ts',
  'test/plugin/routes/internal-fields.test.ts',
  'test/plugin/routes/server-protocol.test.ts',
  'test/plugin/routes/websocket-forward.test.ts',
  'test/raft/driver',
  'test/raft/storage/disk',
  'test/raft/transport'
]
const quickProcessFiles: readonly string[] = ['test/cluster/join.test.ts', 'test/cluster/local.test.ts']

/** Short: the oldest and the newest version and a few files. Long: every version, all unit and process tests. */
export function planOf (length: Length): Plan {
  if (length === 'long') {
    return {
      majors,
      suites: [{ project: 'unit', files: [] }, { project: 'processes', files: [] }],
      leftOut: ['the projects mutants and cluster: they test rules and recovery, and say nothing of a runtime'],
      suiteTimeoutMs: 900_000
    }
  }
  const ends = majors.filter((_, at) => at === 0 || at === majors.length - 1)
  return {
    majors: ends,
    suites: [{ project: 'unit', files: quickUnitFiles }, { project: 'processes', files: quickProcessFiles }],
    leftOut: [
      `Node.js ${majors.filter((major) => !ends.includes(major)).join(' and ')}: only in the long form`,
      'all other files of the projects unit and processes: only in the long form'
    ],
    suiteTimeoutMs: 240_000
  }
}

/** The npm package that holds the binary for a machine, or null when there is none. */
export function packageOf (platform: string, architecture: string): string | null {
  return platform === 'linux' && ['x64', 'arm64'].includes(architecture) ? `node-linux-${architecture}` : null
}
