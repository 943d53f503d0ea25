import { describe, expect, it } from 'vitest'
import { encodeCommand } from '../../../src/plugin/replicated/command.ts'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import { TestMachine } from './support/apply.ts'

function start (run: string, more: { readonly node?: string, readonly name?: string, readonly over?: number } = {}) {
  return { kind: 'task-start', name: 's', node: 'n1', run, fence: 1, ...more } as const
}

function led (): TestMachine {
  const test = new TestMachine()
  test.lead()
  return test
}

describe('the table of tasks', () => {
  it('lets one run of a task start, and the next one behind its stop', () => {
    const test = led()
    expect(test.apply(start('r1'))).toEqual({ kind: 'task-started', name: 's', token: 2 })
    expect(test.apply(start('r2', { node: 'n2' }))).toEqual({ kind: 'task-held', name: 's', node: 'n1', token: 2 })
    expect(test.apply(start('r1'))).toEqual({ kind: 'task-started', name: 's', token: 2 })
    expect(test.apply({ kind: 'task-stop', name: 's', run: 'r2' })).toEqual({ kind: 'stale', name: 's' })
    expect(test.apply({ kind: 'task-stop', name: 's', run: 'r1' })).toEqual({ kind: 'task-stopped', name: 's' })
    expect(test.apply(start('r2', { node: 'n2' }))).toEqual({ kind: 'task-started', name: 's', token: 7 })
    expect(test.machine.tasks.get('s')).toEqual({
      name: 's', worker: 0, node: 'n2', run: 'r2', token: 7, startedAtMs: test.timeMs, session: 0
    })
  })

  it('replaces the run that the next one names, and no other', () => {
    const test = led()
    test.apply(start('r1'))
    expect(test.apply(start('r2', { over: 1 }))).toMatchObject({ kind: 'task-held' })
    expect(test.apply(start('r2', { over: 2 }))).toMatchObject({ kind: 'task-started', token: 4 })
    expect(test.apply(start('r3', { over: 2 }))).toMatchObject({ kind: 'task-held', token: 4 })
  })

  it('starts nothing for a leadership that is over', () => {
    const test = led()
    test.lead()
    expect(test.apply(start('r1'))).toEqual({ kind: 'fenced', token: 1 })
    expect(test.machine.tasks.size).toBe(0)
  })

  it('tells who listens of each change, and of none where there is none', async () => {
    const test = led()
    let changes = 0
    const stop = test.machine.onTaskChange(() => { changes++ })
    test.apply(start('r1'))
    test.apply(start('r1'))
    test.apply(start('r2'))
    expect(changes).toBe(1)
    test.apply({ kind: 'task-stop', name: 's', run: 'r1' })
    test.apply({ kind: 'task-stop', name: 's', run: 'r1' })
    expect(changes).toBe(2)
    const other = led()
    for (let count = 0; count < 4; count++) other.apply(start('r4'))
    for (let count = 0; count < 4; count++) other.set('k', count)
    await test.machine.restore(other.machine.snapshot())
    expect(changes).toBe(3)
    expect(test.machine.tasks.get('s')).toMatchObject({ run: 'r4' })
    stop()
    test.index = other.index
    test.apply({ kind: 'task-stop', name: 's', run: 'r4' })
    expect(changes).toBe(3)
  })

  it('holds so many runs at most', () => {
    const test = led()
    for (let at = 0; at < limits.maxTaskRuns; at++) test.apply(start('r', { name: `s${at}` }))
    expect(test.machine.tasks.size).toBe(limits.maxTaskRuns)
    expect(test.apply(start('r2'))).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
    expect(test.apply(start('r2', { name: 's0', over: 2 }))).toMatchObject({ kind: 'task-started' })
    test.apply({ kind: 'task-stop', name: 's0', run: 'r2' })
    expect(test.apply(start('r2'))).toMatchObject({ kind: 'task-started' })
  })

  it('is written from the reserve of space: a task goes on where locks and values have to wait', () => {
    const { machine } = led()
    expect(machine.reserveUse(encodeCommand(start('r1')))).toBe('keeps')
    expect(machine.reserveUse(encodeCommand({ kind: 'task-stop', name: 's', run: 'r1' }))).toBe('frees')
  })
})
