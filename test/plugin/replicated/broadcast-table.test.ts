import { describe, expect, it } from 'vitest'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import { bytesOf, streamOf } from '../../support/byte-streams.ts'
import { TestMachine } from './support/apply.ts'

function publish (test: TestMachine, topic: string, message: unknown = null): unknown {
  return test.apply({ kind: 'broadcast', topic, from: 'n1', message })
}

async function restored (test: TestMachine): Promise<TestMachine> {
  const other = new TestMachine()
  await other.machine.restore(streamOf(await bytesOf(test.machine.snapshot()), 100))
  return other
}

describe('broadcasts in the log', () => {
  it('are told where they are applied, with their place in the log, and to nobody who no longer listens', () => {
    const test = new TestMachine()
    const seen: unknown[] = []
    const end = test.machine.onPublished((message) => { seen.push(message) })
    expect(publish(test, 'a', { n: 1 })).toEqual({ kind: 'published', index: test.index })
    expect(seen).toEqual([{ topic: 'a', from: 'n1', message: { n: 1 }, index: test.index }])
    end()
    publish(test, 'a')
    expect(seen.length).toBe(1)
  })

  it('leave behind where the last one of each topic stands, over a snapshot as well', async () => {
    const test = new TestMachine()
    for (const topic of ['a', 'b', 'a']) publish(test, topic)
    const { broadcasts } = (await restored(test)).machine
    expect(['a', 'b', 'c'].map((topic) => broadcasts.lastIndexOf(topic))).toEqual([test.index, test.index - 1, 0])
  })

  it('are no section of a snapshot without them: older releases read it', async () => {
    const test = new TestMachine()
    test.lead()
    expect(Buffer.from(await bytesOf(test.machine.snapshot())).includes('broadcasts')).toBe(false)
  })

  it('forget the topic that was silent for longest: its messages may stand as far back as the forgotten one', async () => {
    const test = new TestMachine()
    for (let at = 0; at < limits.maxTopics; at++) publish(test, `t${at}`)
    const oldest = test.machine.broadcasts.lastIndexOf('t0')
    expect(test.machine.broadcasts.lastIndexOf('never')).toBe(0)
    publish(test, 'one more')
    for (const { machine } of [test, await restored(test)]) {
      expect(['t0', 'never', 't1'].map((topic) => machine.broadcasts.lastIndexOf(topic)))
        .toEqual([oldest, oldest, oldest + 1])
    }
  })
})
