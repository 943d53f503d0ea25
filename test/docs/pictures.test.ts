import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { drawCluster } from '../../tools/pictures/cluster.ts'
import { drawFailover } from '../../tools/pictures/failover.ts'
import { parseRun } from '../../tools/pictures/failover-run.ts'
import { read, root } from './support/snippets.ts'

const pictures = [['cluster', drawCluster], ['failover', drawFailover]] as const

describe('docs/images', () => {
  it('holds each picture beside its source, and nothing else', () => {
    const files = pictures.flatMap(([name]) => [`${name}.svg`, `${name}.txt`])
    expect(readdirSync(join(root, 'docs/images')).sort()).toEqual(files.sort())
  })

  it.each(pictures)('%s.svg is what the script draws from its source', (name, draw) => {
    expect(draw(read(`docs/images/${name}.txt`))).toBe(read(`docs/images/${name}.svg`))
  })

  it.each(pictures)('%s.svg is in the README, and told in words for readers who do not see it', (name) => {
    const pattern = new RegExp(`!\\[([^\\]]+)\\]\\(docs/images/${name}\\.svg\\)`)
    const [, alternative = ''] = pattern.exec(read('README.md')) ?? []
    expect(alternative.length).toBeGreaterThan(80)
    expect(read(`docs/images/${name}.svg`)).toMatch(/<title>[^<]{40,}<\/title>/)
  })
})

describe('the picture of a run', () => {
  it('is told in the README with the numbers of that run', () => {
    const { killed, newLeader, nextOrders, acknowledged } = parseRun(read('docs/images/failover.txt'))
    const [, alternative = ''] = /!\[([^\]]+)\]\(docs\/images\/failover\.svg\)/.exec(read('README.md')) ?? []
    const first = `${nextOrders[0]?.afterMs ?? 0} ms`
    const facts = [`the leader ${killed} is killed`, first, `${newLeader} leads`, `All ${acknowledged} acknowledged`]
    expect(facts.filter((fact) => !alternative.replace(/\s+/g, ' ').includes(fact))).toEqual([])
  })
})

describe('the tool that draws the pictures', () => {
  it('refuse a source that they do not understand', () => {
    const cluster = read('docs/images/cluster.txt')
    expect(() => drawCluster(`${cluster}\ncolour: red`)).toThrow(/line \d+ is not understood: colour: red/)
    const withUnknownPlace = `${cluster}\narrow: 1 | n1.cellar > n2.log | x`
    expect(() => drawCluster(withUnknownPlace)).toThrow('no copy and layer is called n1.cellar')
  })

  it('refuse a run of the demo that lacks a step, or in which not everything held', () => {
    const run = read('docs/images/failover.txt')
    for (const step of ['SIGKILL', 'leads now', 'started again', 'has caught up', 'Everything held']) {
      const without = run.split('\n').filter((line) => !line.includes(step)).join('\n')
      expect(() => drawFailover(without)).toThrow('the output of the demo has no line like')
    }
  })

  it('escape what they are given', () => {
    const source = read('docs/images/cluster.txt').replace('Raft node', 'Raft <&"> node')
    expect(drawCluster(source)).toContain('>Raft &lt;&amp;&quot;&gt; node</text>')
  })
})
