import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ExpiryWarning } from '../../../src/raft/trust/expiry-warning.ts'
import type { TlsInputs } from '../../../src/raft/trust/own-tls.ts'
import { OwnTls, readTlsInputs } from '../../../src/raft/trust/own-tls.ts'
import type { TlsMaterial, TlsTexts } from '../../../src/raft/trust/tls-material.ts'
import { createAuthority } from '../../support/certificates.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

const authority = await createAuthority()
const expected = { name: 'n1', clusterId: 'orders', form: 'any', others: [] } as const
const dayMs = 86_400_000

let directory = ''
let inputs: TlsInputs
const open: OwnTls[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tls-'))
  inputs = { texts: {}, files: { ca: path('ca'), cert: path('cert'), key: path('key') }, expected }
})
afterEach(() => {
  for (const tls of open.splice(0)) tls.close()
  rmSync(directory, { recursive: true })
})

function path (part: string): string {
  return join(directory, `${part}.pem`)
}

function write (files: TlsTexts): void {
  for (const [part, text] of Object.entries(files)) writeFileSync(path(part), String(text), { mode: 0o600 })
}

function opened (logger: MemoryLogger): OwnTls {
  const reading = readTlsInputs(inputs)
  if (reading.kind === 'faults') throw new Error(JSON.stringify(reading.faults))
  const tls = new OwnTls(inputs, reading.material, logger)
  open.push(tls)
  return tls
}

describe('the files of a certificate', () => {
  it('are refused when they are missing or a key is readable by all, each by its name and all at once', async () => {
    const { key } = await authority.issue({ dns: ['n1'] })
    write({ cert: 'x\n', key })
    chmodSync(path('key'), 0o644)
    expect(readTlsInputs(inputs)).toEqual({
      kind: 'faults',
      faults: [
        { part: 'ca', message: `${path('ca')} cannot be read (ENOENT)` },
        { part: 'key', message: `${path('key')} can be read by everybody on this machine: chmod 600 it` },
        {
          part: 'cert',
          message: `${path('cert')} must be a certificate in PEM`
        }
      ]
    })
  })

  it('are read again when they change, and kept as they were when they cannot be used', async () => {
    const [first, second, other] = await Promise.all([['n1'], ['n1'], ['n2']].map((dns) => authority.issue({ dns })))
    if (first === undefined || second === undefined || other === undefined) throw new Error('three were issued')
    write({ ca: authority.ca, ...first })
    const logger = new MemoryLogger()
    const tls = opened(logger)
    const told: Array<[TlsMaterial, TlsMaterial]> = []
    tls.onRenewed((material, before) => { told.push([material, before]) })
    write(other)
    await until('the fault', () => logger.messages('error').length > 0)
    expect(logger.lines.at(-1)).toMatchObject({
      details: {
        reason: `cert: ${path('cert')} names n2, and this node is "n1": issue it with the DNS name n1 or the URI ` +
        'fastify-raft://orders/n1 as subjectAltName'
      },
      message: 'the certificate files cannot be used: what was in them before goes on'
    })
    expect(tls.current.own?.key).toBe(first.key)
    expect(told).toEqual([])
    write(second)
    await until('the second certificate', () => told.length === 1)
    expect(tls.current.own?.key).toBe(second.key)
    expect(told[0]?.map(({ own }) => own?.key)).toEqual([second.key, first.key])
    expect(JSON.stringify(logger.lines)).not.toContain('PRIVATE KEY')
  }, 30_000)
})

describe('a certificate that is about to expire', () => {
  it.each([
    ['14 days before', 100 * dayMs, 13 * dayMs, 1],
    ['not 15 days before', 100 * dayMs, 15 * dayMs, 0],
    ['in the last quarter of its life', 4 * dayMs, dayMs - 60_000, 1],
    ['not before that', 4 * dayMs, dayMs + 60_000, 0]
  ])('is warned of %s', async (_when, lifeMs, leftMs, warnings) => {
    const nowMs = Date.now()
    const untilMs = nowMs + leftMs
    write({ ca: authority.ca, ...await authority.issue({ dns: ['n1'], fromMs: untilMs - lifeMs, untilMs }) })
    const logger = new MemoryLogger()
    opened(logger)
    expect(logger.messages('warn')).toEqual(Array(warnings).fill('the own certificate expires soon: renew it'))
  })

  it('is warned of once a day, and called expired when it is', async () => {
    const untilMs = Date.now() + 10 * dayMs
    write({ ca: authority.ca, ...await authority.issue({ dns: ['n1'], fromMs: Date.now() - 90 * dayMs, untilMs }) })
    const logger = new MemoryLogger()
    const expiry = new ExpiryWarning(opened(new MemoryLogger()), logger)
    expiry.close()
    for (let hour = 1; hour <= 48; hour++) expiry.look(Date.now() + hour * 3_600_000)
    expect(logger.messages('warn')).toHaveLength(3)
    expiry.look(untilMs + 1_000)
    expect(logger.messages('error')).toEqual(['the own certificate has expired, and nobody accepts it: renew it'])
  })
})
