import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { FaultResult } from './support/fault-rounds.ts'
import { probeNamespaces } from './support/namespaces.ts'
import { type Cut, cutsOfFive, cutsOfThree } from './support/network-faults.ts'

/** Of each cluster: how often every kind of cut is made. */
const repetitions = Number(process.env.PARTITION_REPETITIONS ?? 1)
const roundTimeoutMs = 30_000
const tool = fileURLToPath(new URL('../../build/test/cluster/tools/partitions.js', import.meta.url))

const permission = probeNamespaces()
const skipped = permission.kind === 'refused' ? `, SKIPPED, not permitted here: ${permission.why}` : ''
if (skipped !== '') process.stderr.write(`test/cluster/partitions.test.ts${skipped}\n`)

describe.skipIf(skipped !== '')(`a cluster whose network is cut${skipped}`, () => {
  it.each([
    { size: 3, cuts: cutsOfThree('n1', ['n2', 'n3']) },
    { size: 5, cuts: cutsOfFive('n1', ['n2', 'n3', 'n4', 'n5']) }
  ])(
    'stays linearizable, has one leader a term and agrees at the end: $size nodes',
    { timeout: 60_000 + repetitions * 4 * roundTimeoutMs },
    async ({ size, cuts }) => {
      const rounds = cuts.length * repetitions
      const { code, output, errors } = await runTool(['--size', String(size), '--rounds', String(rounds)])
      expect(output, errors).not.toBe('')
      const result = JSON.parse(output) as FaultResult
      expect(result).toMatchObject({ rounds, violations: [], undecided: [], leaders: [], diverged: [] })
      expect(Object.keys(result.kinds)).toHaveLength(cuts.length)
      expect(result.calls.writes).toBeGreaterThan(rounds * 12)
      expect(result.calls.reads).toBeGreaterThan(rounds * 12)
      const deposed = cuts.filter(({ expected }) => expected.kind === 'another leader').length
      expect(result.terms).toBeGreaterThan(deposed * repetitions)
      expect(code).toBe(0)
    }
  )
})

describe('the cuts', () => {
  const three = cutsOfThree('l', ['a', 'b'])
  const five = cutsOfFive('l', ['bridge', 'a', 'b', 'c'])

  it('of three nodes take the leader from its followers, in both directions or in one', () => {
    expect(three.map(directionsOf)).toEqual([
      'a>l b>l l>a l>b',
      'a>l b>l',
      'l>a l>b',
      'a>l l>a'
    ])
  })

  it('of five nodes leave a bridge that everybody hears', () => {
    expect(five.map(directionsOf)).toEqual([
      'a>l b>l c>l l>a l>b l>c',
      'a>b a>c b>a b>l c>a c>l l>b l>c',
      'a>b a>c a>l b>a b>c b>l c>a c>b c>l l>a l>b l>c'
    ])
  })
})

/** As `from>to`, sorted. */
function directionsOf ({ lost }: Cut): string {
  return lost.map(({ from, to }) => `${from}>${to}`).sort().join(' ')
}

async function runTool (args: readonly string[]) {
  // The message channel tells the tool when this process is gone.
  const child = spawn(process.execPath, [tool, ...args], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  let output = ''
  let errors = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => { output += text })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => { errors += text })
  const [code] = await once(child, 'close') as [number | null]
  return { code, output, errors }
}
