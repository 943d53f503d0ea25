import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // As many as there are cores on the smallest machine that runs them; files that need one alone say so.
    maxWorkers: 2,
    projects: [
      {
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
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts', 'test/package/**/*.test.ts'],
          // Real processes share two cores: one file at a time keeps elections honest.
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000
        }
      }
    ]
  }
})
