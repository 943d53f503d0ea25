import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Secret } from '../../../src/raft/trust/secret.ts'
import { makeSecret, readSecret, readSecrets } from '../../../src/raft/trust/secret.ts'
import { readSecretFile, SecretFile } from '../../../src/raft/trust/secret-file.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

let directory = ''
const open: Array<SecretFile<Secret>> = []

beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'secret-')) })
afterEach(() => {
  for (const file of open.splice(0)) file.close()
  rmSync(directory, { recursive: true })
})

function write (text: string, mode = 0o600): string {
  const path = join(directory, 'secret')
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

function fingerprintsOf (...texts: readonly string[]): readonly string[] {
  return texts.map((text) => {
    const reading = readSecret(text)
    return reading.kind === 'secret' ? reading.secret.fingerprint : reading.message
  })
}

function opened (path: string, logger: MemoryLogger): SecretFile<Secret> {
  const reading = readSecretFile(path, readSecrets)
  if (reading.kind === 'fault') throw new Error(reading.message)
  const file = new SecretFile(path, readSecrets, reading.current, logger)
  open.push(file)
  return file
}

function current (file: SecretFile<Secret>): readonly string[] {
  return file.current.map(({ fingerprint }) => fingerprint)
}

describe('a file with the secret', () => {
  it('holds one, or two, one a line', () => {
    const [one, two] = [makeSecret(), makeSecret()]
    expect(readSecretFile(write(`${one}\n`), readSecrets)).toMatchObject({ kind: 'secrets' })
    const reading = readSecretFile(write(`\n${one}\r\n\n ${two}`, 0o640), readSecrets)
    expect(reading.kind === 'secrets' && reading.current.map(({ fingerprint }) => fingerprint))
      .toEqual(fingerprintsOf(one, two))
  })

  it.each([
    ['empty', ' \n\n', 0o600, /secret is empty: write the secret into it$/],
    ['readable by all', makeSecret(), 0o644, /secret can be read by everybody on this machine: chmod 600 it$/],
    ['with a short secret', `${makeSecret()}\n${'ab'.repeat(31)}`, 0o600, /secret: line 2 must hold at least 32 random bytes/],
    ['with one secret twice', 'TWICE', 0o600, /secret: line 2 is the same secret twice: give one, or/],
    ['with three secrets', `${makeSecret()}\n${makeSecret()}\n${makeSecret()}`, 0o600, /line 3 is one more than the 2/],
    ['too large', 'x'.repeat(5_000), 0o600, /secret has more than 4096 bytes$/]
  ])('is refused when %s', (_what, text, mode, message) => {
    const twice = makeSecret()
    const reading = readSecretFile(write(text === 'TWICE' ? `${twice}\n${twice}` : text, mode), readSecrets)
    expect(reading).toMatchObject({ kind: 'fault', message: expect.stringMatching(message) as string })
    if (text.trim() !== '') expect(JSON.stringify(reading)).not.toContain(text.slice(0, 20))
  })

  it('is refused when missing', () => {
    expect(readSecretFile(join(directory, 'none'), readSecrets))
      .toEqual({ kind: 'fault', message: `${join(directory, 'none')} cannot be read (ENOENT)` })
  })

  it.skipIf(process.platform === 'win32')('is refused when it is a pipe that nobody writes to, and not waited for', () => {
    const path = join(directory, 'pipe')
    execFileSync('mkfifo', ['-m', '600', path])
    expect(readSecretFile(path, readSecrets)).toEqual({ kind: 'fault', message: `${path} is no regular file` })
    expect(readSecretFile(directory, readSecrets)).toEqual({ kind: 'fault', message: `${directory} is no regular file` })
  })

  it('is read again when it changes, and kept as it was when it cannot be used', async () => {
    const [one, two] = [makeSecret(), makeSecret()]
    const logger = new MemoryLogger()
    const path = write(one)
    const file = opened(path, logger)
    const [first] = file.current
    write(`${one}\n${two}`)
    await until('the second secret', () => file.current.length === 2)
    expect(current(file)).toEqual(fingerprintsOf(one, two))
    // The same object: sessions that were made with it go on.
    expect(file.current[0]).toBe(first)
    write('broken')
    await until('the fault', () => logger.messages('error').length > 0)
    expect(current(file)).toEqual(fingerprintsOf(one, two))
    write(two)
    await until('only the second', () => file.current.length === 1)
    expect(current(file)).toEqual(fingerprintsOf(two))
    expect(JSON.stringify(logger.lines)).not.toContain(one)
  }, 30_000)

  it('may be a link that moves', async () => {
    const [one, two] = [makeSecret(), makeSecret()]
    const [first, second, link] = ['first', 'second', 'link'].map((name) => join(directory, name)) as [string, string, string]
    writeFileSync(first, one, { mode: 0o600 })
    writeFileSync(second, `${two}\n${one}`, { mode: 0o600 })
    symlinkSync(first, link)
    const file = opened(link, new MemoryLogger())
    unlinkSync(link)
    symlinkSync(second, link)
    await until('the other file', () => file.current.length === 2)
    expect(current(file)).toEqual(fingerprintsOf(two, one))
  }, 30_000)
})
