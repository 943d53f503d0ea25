import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { makeToken, tokenDigest } from '../../../src/raft/internal.ts'
import { until } from '../../support/until.ts'
import { fakeApp } from '../support/fake-app.ts'

it('a file of tokens is read again when it changes, and kept as it was when it cannot be used', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tokens-'))
  onTestFinished(() => { rmSync(directory, { recursive: true }) })
  const tokensFile = join(directory, 'tokens.json')
  const write = (content: unknown): void => {
    writeFileSync(tokensFile, typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 })
  }
  const [one, two] = [makeToken(), makeToken()]
  write([{ token: one, role: 'read', name: 'one' }])
  const lines: string[] = []
  const stream = { write: (line: string) => { lines.push(line) } }
  const { app } = await fakeApp({ tokensFile }, undefined, { logger: { level: 'info', stream } })
  const base = await app.listen({ port: 0, host: '127.0.0.1' })
  const status = async (token: string): Promise<number> =>
    (await fetch(`${base}/_cluster/v1/status`, { headers: { authorization: `Bearer ${token}` } })).status
  expect([await status(one), await status(two)]).toEqual([200, 401])

  write([{ sha256: tokenDigest(two).toString('hex'), role: 'read', name: 'two' }])
  await until('the second token', async () => await status(two) === 200)
  expect(await status(one)).toBe(401)

  write(`[{"token":"${one}","role":"root","name":"one"}]`)
  await until('the fault is logged', () => lines.some((line) => line.includes('cannot be used')))
  expect([await status(one), await status(two)]).toEqual([401, 200])

  write([])
  await until('nobody gets in', async () => await status(two) === 401)
  expect(lines.filter((line) => line.includes('the file of tokens was read again'))).toHaveLength(2)
  for (const token of [one, two]) expect(lines.join('')).not.toContain(token)
}, 30_000)
