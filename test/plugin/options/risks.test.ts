import { describe, expect, it } from 'vitest'
import { resolveOptions } from '../../../src/plugin/options/options.ts'
import { warnOfRisks } from '../../../src/plugin/options/risks.ts'
import { makeSecret } from '../../../src/raft/index.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'

const members = [1, 2, 3].map((n) => ({ id: `n${n}`, url: `http://10.0.0.${n}` }))

function warningsOf (options: object): string[] {
  const logger = new MemoryLogger()
  warnOfRisks(resolveOptions(options), logger)
  return logger.lines.map(({ level, message }) => `${level} ${message}`)
}

describe('the warnings at the start', () => {
  it('name insecure each time, and what a stranger can do', () => {
    const warnings = warningsOf({ id: 'n1', members, dataDir: 'data', insecure: true })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/^warn insecure: .* speak as a member/)
  })

  it('name it on a lone node too', () => {
    expect(warningsOf({ insecure: true })).toHaveLength(1)
  })

  it('say of insecure beside a secret what is still open', () => {
    const [warning] = warningsOf({ id: 'n1', members, dataDir: 'data', insecure: true, secret: makeSecret() })
    expect(warning).toMatch(/^warn insecure: .* data and the members/)
  })

  it('say that insecure opens nothing where tokens or authorize decide', () => {
    for (const decides of [{ tokens: [] }, { authorize: () => true }]) {
      const given = { id: 'n1', members, dataDir: 'data', insecure: true, ...decides }
      expect(warningsOf({ ...given, secret: makeSecret() })[0]).toMatch(/^warn insecure: true has no effect/)
      expect(warningsOf(given)[0]).toMatch(/speak as a member/)
    }
  })

  it('are none where the members share a secret and a disk keeps the log', () => {
    expect(warningsOf({ id: 'n1', members, dataDir: 'data', secret: makeSecret() })).toEqual([])
    expect(warningsOf({})).toEqual([])
  })

  it('name a member that forgets', () => {
    const [warning] = warningsOf({ id: 'n1', members, secret: makeSecret() })
    expect(warning).toMatch(/^warn no dataDir: /)
  })
})
