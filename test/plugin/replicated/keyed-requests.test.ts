import { describe, expect, it } from 'vitest'
import type { RequestBeginCommand, RequestFinishCommand } from '../../../src/plugin/replicated/command.ts'
import { decodeCommand, encodeCommand } from '../../../src/plugin/replicated/command.ts'
import type { RequestDone } from '../../../src/plugin/replicated/keyed-request.ts'
import { encodeSections } from '../../../src/raft/internal.ts'
import { bytesOf, streamOf } from '../../support/byte-streams.ts'
import { once, TestMachine } from './support/apply.ts'

const done: RequestDone = { kind: 'request-done', statusCode: 201, headers: ['location', '/x'], body: '{"a":1}', encoding: 'utf8' }

function begin (fence: number, more: Partial<RequestBeginCommand> = {}): RequestBeginCommand {
  return { kind: 'request-begin', ...once('k', { origin: 'http' }), fingerprint: 'f', answerBytes: 1_000, fence, mayRepeat: false, ...more }
}

function finish (attempt: number, outcome: RequestFinishCommand['outcome'] = done, key = 'k'): RequestFinishCommand {
  return { kind: 'request-finish', ...once(key, { origin: 'http' }), attempt, outcome }
}

/** A machine under a leadership that has begun a request. */
function begun (more: Partial<RequestBeginCommand> = {}) {
  const test = new TestMachine()
  const token = test.lead()
  expect(test.apply(begin(token, more))).toEqual({ kind: 'request-started', attempt: 2 })
  return { test, token, attempt: 2 }
}

describe('the key of a request', () => {
  it('lets one handler run, and gives its answer to all that come later', () => {
    const { test, token, attempt } = begun()
    expect(test.apply(begin(token))).toMatchObject({ kind: 'request-begun', attempt, token })
    expect(test.apply(finish(attempt))).toEqual({ kind: 'request-finished' })
    expect(test.apply(begin(token))).toEqual(done)
    expect(test.apply(begin(test.lead()))).toEqual(done)
  })

  it('is refused for another request, whatever has become of the first', () => {
    const { test, token, attempt } = begun()
    const conflict = { kind: 'refused', code: 'RAFT_IDEMPOTENCY_CONFLICT' }
    expect(test.apply(begin(token, { fingerprint: 'g' }))).toMatchObject(conflict)
    test.apply(finish(attempt))
    expect(test.apply(begin(token, { fingerprint: 'g' }))).toMatchObject(conflict)
  })

  it('begins nothing under a leadership that is over', () => {
    const test = new TestMachine()
    const token = test.lead()
    test.lead()
    expect(test.apply(begin(token))).toEqual({ kind: 'fenced', token })
    expect(test.machine.answers.size).toBe(0)
  })

  it('is decided by the next leader once and for all: the late answer of the first handler counts no more', () => {
    const { test, attempt } = begun()
    const next = test.lead()
    // Until it is called lost, it is under way.
    expect(test.apply(begin(next))).toMatchObject({ kind: 'request-begun', attempt })
    expect(test.apply(begin(next, { lost: attempt }))).toEqual({ kind: 'request-lost' })
    expect(test.apply(finish(attempt))).toEqual({ kind: 'request-stale' })
    expect(test.apply(begin(next, { lost: attempt, mayRepeat: true }))).toEqual({ kind: 'request-lost' })
  })

  it('runs again under the next leader where that may be, and then only the second attempt counts', () => {
    const { test, attempt } = begun()
    const next = test.lead()
    expect(test.apply(begin(next, { lost: attempt, mayRepeat: true }))).toEqual({ kind: 'request-started', attempt: 4 })
    expect(test.apply(begin(next, { lost: attempt, mayRepeat: true }))).toMatchObject({ kind: 'request-begun', attempt: 4 })
    expect(test.apply(finish(attempt, { ...done, statusCode: 200 }))).toEqual({ kind: 'request-stale' })
    expect(test.apply(finish(4))).toEqual({ kind: 'request-finished' })
    expect(test.apply(begin(next))).toEqual(done)
  })

  it('keeps an answer that comes after the leadership, while nobody has decided', () => {
    const { test, attempt } = begun()
    const next = test.lead()
    expect(test.apply(finish(attempt))).toEqual({ kind: 'request-finished' })
    expect(test.apply(begin(next, { lost: attempt }))).toEqual(done)
  })

  it('is free again when it is released, for another request too', () => {
    const { test, token, attempt } = begun()
    expect(test.apply(finish(attempt, { kind: 'request-released' }))).toEqual({ kind: 'request-finished' })
    expect(test.apply(begin(token, { fingerprint: 'g' }))).toEqual({ kind: 'request-started', attempt: 4 })
    expect(test.apply(finish(attempt))).toEqual({ kind: 'request-stale' })
  })

  it('is remembered for its horizon from the answer on, in log time, and not longer', () => {
    const { test, token, attempt } = begun(once('k', { origin: 'http', horizonMs: 5_000 }))
    test.timeMs += 4_000
    const end = finish(attempt)
    test.apply({ ...end, once: { ...end.once, horizonMs: 5_000 } })
    test.timeMs += 4_999
    expect(test.apply(begin(token))).toEqual(done)
    test.timeMs++
    expect(test.apply(begin(token))).toMatchObject({ kind: 'request-started' })
    expect(test.machine.answers.size).toBe(1)
  })

  it('meets no key of a map or machine', () => {
    const { test } = begun()
    expect(test.apply({ kind: 'map-set', map: 'm', key: 'a', value: 1, ...once('k', { origin: 'http' }) }))
      .toMatchObject({ kind: 'written' })
  })
})

describe('the room of keys', () => {
  it('is kept for the answer from the begin on, given back at the end, and empty when all is forgotten', () => {
    const { test, token, attempt } = begun({ answerBytes: 50_000 })
    expect(test.machine.answers.bytes).toBeGreaterThan(50_000)
    const room = once('other', { origin: 'http', maxBytes: 51_000 })
    expect(test.apply(begin(token, room))).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
    test.apply(finish(attempt))
    expect(test.machine.answers.bytes).toBeLessThan(1_000)
    expect(test.apply(begin(token, room))).toMatchObject({ kind: 'request-started' })
    test.timeMs += 3_600_000
    for (const key of ['a', 'b']) test.set('x', key, { idempotencyKey: key })
    test.timeMs += 3_600_000
    test.set('x', 1, { idempotencyKey: 'last' })
    expect(test.machine.answers.size).toBe(1)
    expect(test.machine.answers.bytes).toBeLessThan(500)
  })

  it('never refuses the end of what has run', () => {
    const small = once('k', { origin: 'http', maxBytes: 3_000 })
    const { test, token, attempt } = begun(small)
    let key = 0
    while (test.apply(begin(token, { ...once(`k${key}`, { origin: 'http', maxBytes: 3_000 }), answerBytes: 10 })).kind !== 'refused') key++
    expect(test.apply(finish(attempt, { ...done, body: 'x'.repeat(900) }))).toEqual({ kind: 'request-finished' })
    expect(test.machine.answers.bytes).toBeLessThanOrEqual(3_000)
  })
})

describe('a snapshot with keys of requests', () => {
  it('is the state: what follows is answered alike, and the room is the same', async () => {
    const { test, attempt } = begun()
    test.apply(finish(attempt))
    const next = test.lead()
    test.apply(begin(next, once('open', { origin: 'http' })))
    test.apply(begin(next, once('freed', { origin: 'http' })))
    test.apply(finish(test.index, { kind: 'request-released' }, 'freed'))
    const other = new TestMachine()
    Object.assign(other, { index: test.index, term: test.term, timeMs: test.timeMs })
    await other.machine.restore(test.machine.snapshot())
    expect(other.state()).toBe(test.state())
    expect(other.machine.answers.bytes).toBe(test.machine.answers.bytes)
    for (const each of [test, other]) {
      expect(each.apply(begin(next))).toEqual(done)
      expect(each.apply(begin(next, once('open', { origin: 'http' })))).toMatchObject({ kind: 'request-begun', attempt: 5 })
      expect(each.apply(begin(next, once('freed', { origin: 'http' })))).toMatchObject({ kind: 'request-started' })
    }
  })

  const section = (version: number, records: readonly unknown[]) => ({
    name: 'answers', version, records: records.map((record) => Buffer.from(JSON.stringify(record)))
  })
  const snapshotWith = async (version: number, records: readonly unknown[]): Promise<Uint8Array> =>
    await bytesOf(encodeSections([
      { name: 'maps', version: 1, records: [] },
      { name: 'locks', version: 1, records: [] },
      { name: 'fences', version: 1, records: [Buffer.from('[0,0]')] },
      section(version, records)
    ]))

  it('is read in the version before there were any', async () => {
    const test = new TestMachine()
    const answer = { kind: 'written', key: 'a', revision: 1 }
    await test.machine.restore(streamOf(await snapshotWith(2, [['api:map:1:m:i', 1, 5_000, 'f', answer]]), 100))
    expect(test.machine.answers.size).toBe(1)
  })

  it.each([
    ['a state of another kind', { kind: 'request-stolen' }],
    ['an attempt without its number', { kind: 'request-begun', attempt: 0, token: 1, answerBytes: 1 }],
    ['a member too many', { kind: 'request-lost', why: 'x' }],
    ['half a header line', { ...done, headers: ['location'] }],
    ['a body where none was kept', { ...done, encoding: 'stream' }],
    ['a status that is none', { ...done, statusCode: 20 }]
  ])('is refused with %s', async (_what, state) => {
    const bytes = await snapshotWith(3, [['http:request:k', 1, 5_000, 'f', state]])
    await expect(new TestMachine().machine.restore(streamOf(bytes, 100))).rejects.toMatchObject({ code: 'RAFT_SNAPSHOT_CORRUPT' })
  })
})

describe('commands on the keys of requests', () => {
  it.each([begin(7), begin(7, { lost: 3, mayRepeat: true }), finish(3), finish(3, { kind: 'request-released' })])(
    'decode what was encoded: %j', (command) => { expect(decodeCommand(encodeCommand(command))).toEqual(command) })

  it.each([
    ['no fence', { ...begin(7), fence: undefined }],
    ['no key', { ...begin(7), once: undefined }],
    ['a long fingerprint', begin(7, { fingerprint: 'f'.repeat(65) })],
    ['a flag that is none', { ...begin(7), mayRepeat: 1 }],
    ['an outcome that is no end', { ...finish(3), outcome: { kind: 'request-lost' } }],
    ['an attempt of 0', finish(0)]
  ])('are refused with %s', (_what, command) => {
    expect(decodeCommand(Buffer.from(JSON.stringify(command)))).toMatchObject({ kind: 'refused', code: 'RAFT_MALFORMED_COMMAND' })
  })
})
