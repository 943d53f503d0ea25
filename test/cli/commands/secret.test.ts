import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runSecret } from '../../../src/cli/commands/secret.ts'
import { parseCommandLine } from '../../../src/cli/flags/command-line.ts'
import { readGatewaySecrets } from '../../../src/raft/internal.ts'
import { makeSecret, readSecrets } from '../../../src/raft/trust/secret.ts'

let directory: string

beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'secret-')) })
afterEach(() => { rmSync(directory, { recursive: true }) })

/** What the command prints. */
function run (argv: readonly string[], environment: Readonly<Record<string, string>> = {}): readonly string[] {
  const command = parseCommandLine(['secret', ...argv], environment)
  if (command.kind !== 'secret') throw new Error('another command')
  const lines: string[] = []
  runSecret(command.settings, (line) => { lines.push(line) })
  return lines
}

describe('fastify-raft secret', () => {
  it('makes a secret for nodes', () => {
    const lines = run([])
    expect(lines).toHaveLength(1)
    expect(readSecrets(lines).kind).toBe('secrets')
    expect(run([])).not.toEqual(lines)
  })

  it('makes those for gateways from those of the nodes, the same each time, in the environment or in a file', () => {
    const [one, two] = [makeSecret(), makeSecret()]
    const lines = run(['--for', 'gateway'], { CLUSTER_SECRET: `${one},${two}` })
    const file = join(directory, 'secret')
    writeFileSync(file, `${one}\n${two}\n`)
    chmodSync(file, 0o600)
    expect(run(['--for', 'gateway', '--secret-file', file])).toEqual(lines)
    expect(run(['--for', 'gateway'], { CLUSTER_SECRET_FILE: file })).toEqual(lines)
    expect(lines).toHaveLength(2)
    expect(readGatewaySecrets(lines).kind).toBe('secrets')
    // Neither takes the other one's, nor tells it.
    expect(readSecrets(lines)).toMatchObject({ faults: [{ message: expect.stringContaining('gateway') as string }, {}] })
    expect(readGatewaySecrets([one])).toMatchObject({
      faults: [{ message: expect.stringMatching(/is that of the nodes: .*--for gateway/) as string }]
    })
    expect(lines.join()).not.toContain(one)
  })

  it.each([
    [['--for', 'node'], { CLUSTER_SECRET: 'x' }, /--for must be gateway/],
    [['--for', 'gateway'], {}, /CLUSTER_SECRET/],
    [['--for', 'gateway'], { CLUSTER_SECRET: 'word' }, /random bytes/],
    [['--for', 'gateway', '--secret-file', '/nowhere'], {}, /ENOENT/]
  ] as const)('refuses %j', (argv, environment, message) => {
    expect(() => run(argv, environment)).toThrow(message)
  })
})
