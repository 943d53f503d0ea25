import { defineConfig } from 'rolldown'

// The code of the package: one file for each entry point, and a few that they share. Several hundred modules cost Node.js
// more time and memory to find, link and keep than all that they do. Types come from tsc, one file for each source.
const entries = [
  'src/plugin/index', 'src/plugin/node-cron', 'src/gateway/index', 'src/raft/index', 'src/raft/errors',
  'src/testing/index', 'src/cli/main', 'examples/orders/orders-app'
]

export default defineConfig({
  input: Object.fromEntries(entries.map((entry) => [entry, `${entry}.ts`])),
  platform: 'node',
  // Packages, and this one by its name, are found where the application has them.
  external: /^[^./]/,
  output: {
    dir: 'dist',
    format: 'esm',
    sourcemap: true,
    minify: false,
    chunkFileNames: 'src/raft/shared/[name].js'
  },
  transform: { target: 'node20.19' }
})
