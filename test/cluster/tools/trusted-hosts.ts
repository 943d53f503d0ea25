import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { endWithParent, hasNamespaces, runInNamespaces } from '../support/namespaces.ts'
import { TrustedHosts } from '../support/trusted-hosts.ts'

// Three copies of `fastify-raft node` in network namespaces with addresses of their own, with a secret and without
// `insecure`. Prints what they were seen to do as one line of JSON. Ends with 2 where namespaces are not permitted.
const { values } = parseArgs({
  /** Only from this program to itself, within the namespaces: where data and logs go. */
  options: { directory: { type: 'string' } },
  strict: true
})
const runTimeoutMs = 120_000

endWithParent()
if (values.directory === undefined) await enterNamespaces()
else {
  // This file runs from build/test/cluster/tools.
  const program = fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url))
  process.stdout.write(`${JSON.stringify(await TrustedHosts.run(program, values.directory))}\n`)
}

async function enterNamespaces (): Promise<void> {
  if (!hasNamespaces()) return
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-trusted-'))
  try {
    const { code, output } = await runInNamespaces(
      [process.execPath, fileURLToPath(import.meta.url), '--directory', directory],
      runTimeoutMs
    )
    process.stdout.write(output)
    if (code !== 0) process.exitCode = 1
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
