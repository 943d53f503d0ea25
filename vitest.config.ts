import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** The package by its name is its source, as in tsconfig.base.json. */
const ownName = Object.entries({
  'fastify-raft': 'src/plugin/index.ts',
  'fastify-raft/errors': 'src/raft/errors.ts',
  'fastify-raft/node-cron': 'src/plugin/node-cron.ts',
  'fastify-raft/testing': 'src/testing/index.ts'
}).map(([name, path]) => ({
  find: new RegExp(`^${name}$`),
  replacement: fileURLToPath(new URL(path, import.meta.url))
}))

/** Files of real processes that want the machine to themselves. */
const alone = [
  'attacks',
  'attacks-on-the-way',
  'balancers',
  'blocked-loop',
  'catch-up',
  'close-without-quorum',
  'counters',
  'deadlines',
  'demo',
  'handover',
  'hostile-clients',
  'join-kills',
  'kill-leader',
  'lapses',
  'large-bodies',
  'no-quorum',
  'once',
  'partitions',
  'pauses',
  'power-cuts',
  'renewed-certificates',
  'replace-members',
  'rolling-restart',
  'schedules',
  'secret-rotation',
  'tasks',
  'trusted-hosts',
  'waiting',
  'wiped-voter'
].map((name) => `test/cluster/${name}.test.ts`)

export default defineConfig({
  resolve: { alias: ownName },
  test: {
    // As many as there are cores on the smallest machine that runs them; files that need one alone say so.
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/cluster/**', 'test/package/**', 'test/sim/mutants.test.ts'],
          // Several times what the slowest test takes alone: two cores may be shared.
          testTimeout: 60_000,
          hookTimeout: 60_000
        }
      },
      {
        test: {
          // Searches for known bugs among many seeds: minutes of work, and apart from the tests for that.
          name: 'mutants',
          include: ['test/sim/mutants.test.ts']
        }
      },
      {
        extends: true,
        test: {
          name: 'processes',
          include: ['test/cluster/**/*.test.ts', 'test/package/**/*.test.ts'],
          exclude: alone,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 60_000
        }
      },
      {
        extends: true,
        test: {
          name: 'cluster',
          include: alone,
          // Load, deaths and pauses that are measured share two cores: one file at a time keeps elections honest.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          testTimeout: 120_000,
          hookTimeout: 60_000
        }
      }
    ]
  }
})
