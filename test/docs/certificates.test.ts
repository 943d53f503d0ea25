import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readTlsMaterial } from '../../src/raft/trust/tls-material.ts'
import { splitShell } from './support/shell.ts'
import { snippets } from './support/snippets.ts'

/** Issues from an authority in one command since version 3. */
const hasOpenssl3 = (() => {
  try {
    return Number(/^OpenSSL (\d+)/.exec(execFileSync('openssl', ['version']).toString())?.[1]) >= 3
  } catch {
    return false
  }
})()

describe('the commands that make certificates', () => {
  it.skipIf(!hasOpenssl3)('make one that a member takes, with a key that nobody else may read', () => {
    const directory = mkdtempSync(join(tmpdir(), 'certificates-'))
    onTestFinished(() => { rmSync(directory, { recursive: true }) })
    const lines = snippets.flatMap(({ code }) => code.split('\n')).filter((line) => line.startsWith('openssl '))
    expect(lines).toHaveLength(2)
    for (const [program = '', ...args] of lines.map(splitShell)) {
      execFileSync(program, args, { cwd: directory, stdio: 'pipe' })
    }
    const text = (name: string): string => readFileSync(join(directory, name), 'utf8')
    const texts = { ca: text('ca.pem'), cert: text('n1.pem'), key: text('n1.key') }
    const expected = { name: 'n1', clusterId: 'default', form: 'any', others: ['n2', 'n3'] } as const
    expect(readTlsMaterial(texts, expected, Date.now()).kind).toBe('material')
    expect(readTlsMaterial(texts, { ...expected, name: 'n2', others: ['n1'] }, Date.now()).kind).toBe('faults')
    expect(statSync(join(directory, 'n1.key')).mode & 0o077).toBe(0)
  })
})
