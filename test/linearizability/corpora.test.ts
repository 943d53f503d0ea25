import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parseEtcdLog } from './corpora/parse-etcd.ts'
import { parseKeyValueLog } from './corpora/parse-key-value.ts'
import { checkHistory, keyValueModel, registerModel } from './index.ts'

const corpora = fileURLToPath(new URL('../../../shared/corpora/', import.meta.url))
const isHere = existsSync(corpora)
const absent = 'the corpora are not beside this checkout, in ../shared/corpora: their verdicts were not compared'

if (!isHere) console.log(absent)

function read (path: string): string {
  return readFileSync(`${corpora}${path}`, 'utf8')
}

describe('the verdicts of others', () => {
  it('agrees about every history of an etcd register', { timeout: 60_000 }, (context) => {
    if (!isHere) context.skip(absent)
    const expected = Object.entries(JSON.parse(read('porcupine-etcd/verdicts.json')) as Record<string, boolean>)
    const verdicts = timed('etcd', expected, ([file]) =>
      checkHistory(registerModel, parseEtcdLog(read(`porcupine-etcd/${file}`)))
    )
    expect(expected.length).toBeGreaterThan(50)
    expect(verdicts).toEqual(expected.map(([, isLinearizable]) => isLinearizable ? 'linearizable' : 'violation'))
  })

  it('agrees about every history of strings by key', { timeout: 60_000 }, (context) => {
    if (!isHere) context.skip(absent)
    const files = readdirSync(`${corpora}porcupine-kv`).filter((file) => file.endsWith('.txt')).sort()
    const verdicts = timed('key-value', files, (file) =>
      checkHistory(keyValueModel, parseKeyValueLog(read(`porcupine-kv/${file}`)))
    )
    expect(files.length).toBeGreaterThan(0)
    expect(verdicts).toEqual(files.map((file) => file.endsWith('-ok.txt') ? 'linearizable' : 'violation'))
  })
})

function timed<Case> (
  name: string, cases: readonly Case[], check: (item: Case) => { readonly verdict: string, readonly visited: number }
): string[] {
  const startedAt = performance.now()
  const answers = cases.map(check)
  const visited = answers.reduce((sum, answer) => sum + answer.visited, 0)
  console.log(
    `${name}: ${cases.length} histories in ${((performance.now() - startedAt) / 1_000).toFixed(2)} s, ${visited} configurations`
  )
  return answers.map(({ verdict }) => verdict)
}
