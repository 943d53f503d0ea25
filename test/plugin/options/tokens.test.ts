import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { resolveOptions } from '../../../src/plugin/options/options.ts'
import { makeToken, tokenDigest } from '../../../src/raft/internal.ts'
import { faultsOf } from '../support/option-faults.ts'

let directory = ''
beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'tokens-')) })
afterEach(() => { rmSync(directory, { recursive: true }) })

function write (content: unknown, mode = 0o600): string {
  const path = join(directory, 'tokens.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  chmodSync(path, mode)
  return path
}

const [one, two] = [makeToken(), makeToken()]
const tooMany = Array.from({ length: 101 }, (_, at) => ({ token: makeToken(), role: 'read', name: `t${at}` }))
const oneDigest = tokenDigest(one).toString('hex')

describe('tokens', () => {
  it('are kept as digests alone, from the options and from a file', () => {
    const list = [
      { token: one, role: 'admin', name: 'ops' },
      { sha256: tokenDigest(two).toString('hex'), role: 'read', name: 'watch' }
    ]
    const current = [
      { name: 'ops', role: 'admin', digest: tokenDigest(one) },
      { name: 'watch', role: 'read', digest: tokenDigest(two) }
    ]
    const resolved = resolveOptions({ tokens: list })
    expect(resolved.tokens).toEqual({ current, file: null })
    expect(JSON.stringify(resolved)).not.toContain(one)
    const path = write(list)
    expect(resolveOptions({ tokensFile: path })).toMatchObject({ tokens: { current, file: path }, authorize: null })
  })

  it('may be none: then nobody gets in', () => {
    expect(resolveOptions({ tokens: [] }).tokens).toEqual({ current: [], file: null })
    expect(resolveOptions({ tokensFile: write([]) }).tokens?.current).toEqual([])
  })

  it.each([
    ['an unknown role', [{ token: one, role: 'root', name: 'a' }], '[0].role must be read, data or admin, got "root"'],
    ['no role', [{ token: one, name: 'a' }], '[0].role is required'],
    ['no name', [{ token: one, role: 'read' }], '[0].name is required'],
    ['a name that is none', [{ token: one, role: 'read', name: 'a b' }], '[0].name must be 1 to 64 letters'],
    ['a token twice', [{ token: one, role: 'read', name: 'a' }, { token: one, role: 'data', name: 'b' }], '[1] is the same token as'],
    ['a token and its digest', [{ token: one, role: 'read', name: 'a' }, { sha256: oneDigest, role: 'data', name: 'b' }], '[1] is the same token as'],
    ['a name twice', [{ token: one, role: 'read', name: 'a' }, { token: two, role: 'data', name: 'a' }], '[1].name "a" is'],
    ['both token and sha256', [{ token: one, sha256: oneDigest, role: 'read', name: 'a' }], '[0] must have either token or sha256'],
    ['neither of them', [{ role: 'read', name: 'a' }], '[0] must have token or sha256'],
    ['a short token', [{ token: one.slice(0, 21), role: 'read', name: 'a' }], '[0].token must hold 128 random bits'],
    ['a malformed digest', [{ sha256: 'abc', role: 'read', name: 'a' }], '[0].sha256 must be the 64 hexadecimal digits'],
    ['something else', [{ token: one, role: 'read', name: 'a', scope: 'x' }], '[0].scope is not a known option'],
    ['no object', [one], '[0] must be an object'],
    ['no list', { token: one }, 'must be an array'],
    ['too many', tooMany, 'must have at most 100 items']
  ])('with %s are refused, in the options and in a file, and never repeated', (_what, tokens, fault) => {
    expect(faultsOf({ tokens })).toContain(`tokens${fault.startsWith('[') ? '' : ' '}${fault}`)
    const path = write(tokens)
    expect(faultsOf({ tokensFile: path })).toContain(`tokensFile ${path}: ${fault}`)
    const texts = faultsOf({ tokens }) + faultsOf({ tokensFile: path })
    expect(texts).not.toContain(one.slice(0, 21))
  })

  it('name all their faults at once, beside those of other options', () => {
    const text = faultsOf({ heartbeatMs: 1, tokens: [{ token: 'x', role: 'root', name: 'a' }, { role: 'read', name: 'a' }] })
    for (const path of ['heartbeatMs', 'tokens[0].role', 'tokens[0].token', 'tokens[1] must', 'tokens[1].name']) {
      expect(text).toContain(`  - ${path}`)
    }
  })

  it.each([
    ['readable by all', '[]', 0o644, 'can be read by everybody on this machine: chmod 600 it'],
    ['no JSON', `[{"token":"${one}",}]`, 0o600, 'is no JSON'],
    ['too large', ' '.repeat(262_145), 0o600, 'has more than 262144 bytes']
  ])('in a file that is %s are refused', (_what, content, mode, fault) => {
    const text = faultsOf({ tokensFile: write(content, mode) })
    expect(text).toContain(`tokensFile ${join(directory, 'tokens.json')} ${fault}`)
    expect(text).not.toContain(one.slice(0, 10))
  })

  it('in a file that is missing are refused', () => {
    expect(faultsOf({ tokensFile: join(directory, 'none') })).toContain('none cannot be read (ENOENT)')
  })

  it('have one place alone', () => {
    const authorize = () => true
    expect(faultsOf({ tokens: [], tokensFile: write([]) })).toContain('tokensFile must not be given together with tokens')
    expect(faultsOf({ tokens: [], authorize })).toContain('authorize must not be given together with tokens')
    expect(faultsOf({ tokensFile: write([]), authorize })).toContain('authorize must not be given together with tokens')
    expect(faultsOf({ authorize: 'yes' })).toContain('authorize must be a function')
    expect(resolveOptions({ authorize }).authorize).toBe(authorize)
    expect(resolveOptions({ authorize: undefined, tokens: undefined })).toMatchObject({ authorize: null, tokens: null })
  })
})
