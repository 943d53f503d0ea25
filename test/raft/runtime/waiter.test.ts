import { describe, expect, it } from 'vitest'
import { Waiter } from '../../../src/raft/runtime/waiter.ts'

function waiter (timeoutMs: number, signal?: AbortSignal) {
  const ends = { count: 0 }
  const made = new Waiter<string>(
    signal === undefined ? { timeoutMs } : { timeoutMs, signal },
    () => new Error('too late'),
    () => {
      ends.count++
    }
  )
  return { waiter: made, ends }
}

describe('waiter', () => {
  it('is settled once, by the first of result, error, deadline and signal', async () => {
    const { waiter: open, ends } = waiter(60_000)
    open.resolve('first')
    open.resolve('second')
    open.reject(new Error('third'))
    expect(await open.promise).toBe('first')
    expect(ends.count).toBe(1)
  })

  it('ends at its deadline, and by its signal', async () => {
    await expect(waiter(5).waiter.promise).rejects.toThrow('too late')
    const abort = new AbortController()
    const { waiter: aborted, ends } = waiter(60_000, abort.signal)
    abort.abort(new Error('no more'))
    await expect(aborted.promise).rejects.toThrow('no more')
    expect(ends.count).toBe(1)
  })

  it('ends when its signal was aborted before it began, after its maker holds it', async () => {
    const { waiter: aborted, ends } = waiter(60_000, AbortSignal.abort(new Error('long gone')))
    expect(ends.count).toBe(0)
    await expect(aborted.promise).rejects.toThrow('long gone')
    expect(ends.count).toBe(1)
  })

  it('waits without end when the timeout is longer than any timer', async () => {
    for (const timeoutMs of [Infinity, 2 ** 31]) {
      const { waiter: endless } = waiter(timeoutMs)
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(endless.settled).toBe(false)
      endless.resolve('came')
      expect(await endless.promise).toBe('came')
    }
  })
})
