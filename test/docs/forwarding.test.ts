import { describe, expect, it } from 'vitest'
import { errorTable } from '../../src/raft/errors.ts'
import { headingsOf } from './support/markdown.ts'
import { read } from './support/snippets.ts'
import { titlesIn } from './support/titles.ts'

const page = read('docs/forwarding.md')
const states = rowsUnder('What the client sees')
const gateway = rowsUnder('At the gateway')
const plugins = rowsUnder('Beside other plugins')

/** Errors that a copy answers with itself, in place of the leader, and not those of the gateway. */
const answered = [
  'RAFT_BAD_GATEWAY', 'RAFT_BAD_REQUEST', 'RAFT_BODY_CONSUMED', 'RAFT_BUSY', 'RAFT_LOOP_DETECTED', 'RAFT_NOT_FOUND',
  'RAFT_NOT_IMPLEMENTED', 'RAFT_NOT_LEADER', 'RAFT_NO_LEADER', 'RAFT_OUTCOME_UNKNOWN', 'RAFT_STOPPED', 'RAFT_TIMEOUT',
  'RAFT_WRONG_READ_TOKEN'
]

describe('the table of what the client sees', () => {
  it('names a test for every row, and each of them exists', () => {
    expect([states.length >= 30, gateway.length >= 10]).toEqual([true, true])
    const all = [...states, ...gateway]
    expect(new Set(all.map(([what]) => what)).size).toBe(all.length)
    const missing = all.filter(({ 3: held = '' }) => {
      const [, path, title] = /^`(test\/\S+)` "(.+)"$/.exec(held) ?? []
      return path === undefined || title === undefined || !titlesIn(path).it.has(title)
    })
    expect(missing.map(([what]) => what)).toEqual([])
  })

  it('gives each code the status that it has, and leaves out none that a copy answers with', () => {
    const codes = new Map(errorTable.map(({ code, statusCode }) => [code, statusCode]))
    const named = [...states, ...gateway].flatMap(({ 1: seen = '' }) =>
      [...seen.matchAll(/(\d{3}) `(RAFT_\w+)`/g)].map(([, status, code = '']) => ({ code, status: Number(status) })))
    const wrong = named.filter(({ code, status }) =>
      codes.get(code) !== status && !(code === 'RAFT_OUTCOME_UNKNOWN' && status === 502))
    expect(wrong).toEqual([])
    const mentioned = states.flatMap(({ 1: seen = '' }) => seen.match(/RAFT_\w+/g) ?? [])
    expect([...new Set(mentioned)].sort()).toEqual(answered)
  })

  it('says of every row whether it was executed', () => {
    const said = new Set([...states, ...gateway].map(({ 2: executed }) => executed))
    expect([...said].sort()).toEqual(['as it says', 'no', 'once', 'once, or no', 'perhaps', 'perhaps twice', 'yes'])
  })
})

describe('the table of other plugins', () => {
  it('has a row for each plugin that is tried, and for no other', () => {
    const tried = ['other-plugins', 'open-telemetry'].flatMap((file) =>
      read(`test/plugin/routes/${file}.test.ts`).match(/'(@fastify\/[\w-]+|fastify-[\w-]+)'/g) ?? [])
    const names = [...new Set(tried.map((name) => name.slice(1, -1)))]
    expect(plugins.map(([name]) => name).sort()).toEqual(names.sort())
    for (const row of plugins) expect([row[0], row.length, row.includes('')]).toEqual([row[0], 4, false])
  })
})

/** The cells of the only table under a heading. */
function rowsUnder (title: string): string[][] {
  const { body = '' } = headingsOf(page).find(({ text }) => text === title) ?? {}
  return body.split('\n').filter((line) => line.startsWith('|')).slice(2)
    .map((line) => line.slice(1, -1).split('|').map((cell) => cell.trim()))
}
