import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

/** As `npm run build:tools` leaves it. */
const watchdog = fileURLToPath(new URL('../../build/src/plugin/primitives/lease-watchdog.js', import.meta.url))

/** Runs a program in a process of its own, in which `endProcessWithLease` is known; resolves with how it ended. */
async function run (program: string) {
  const text = `const { endProcessWithLease } = await import(${JSON.stringify(watchdog)}); ${program}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', text])
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => { output += chunk.toString() })
  const [code, signal] = await once(child, 'close') as [unknown, unknown]
  return { code, signal, text: output }
}

function block (ms: number): string {
  return `{ const end = Date.now() + ${ms}; while (Date.now() < end); }`
}

describe('the watchdog of a lease', () => {
  it('ends a process whose main thread is blocked, with a last line', async () => {
    const { signal, text } = await run(
      `const endsMs = Date.now() + 200; endProcessWithLease({}, { what: 'the time of the task "a" is over',
      remainingMs: () => endsMs - Date.now() }); ${block(5_000)} console.error('too late')`
    )
    expect(signal).toBe('SIGKILL')
    expect(text).toBe('fastify-raft: this process ends now, because the time of the task "a" is over and has not ended ' +
      '(onLeaseLost: "exit")\n')
  })

  it('lets a process live whose work has ended, or may go on', async () => {
    const { code, text } = await run(
      `const ended = endProcessWithLease({}, { what: 'a', remainingMs: () => 100 }); ended();
      endProcessWithLease({}, { what: 'b', remainingMs: () => Infinity });
      endProcessWithLease({}, { what: 'c', remainingMs: () => 2_000 }); ${block(500)} console.error('alive')`
    )
    expect({ code, text }).toEqual({ code: 0, text: 'alive\n' })
  })

  it('follows a lease that is renewed', async () => {
    const { code, text } = await run(
      `endProcessWithLease({}, { what: 'a', remainingMs: () => 100 });
      setTimeout(() => { console.error('alive'); process.exit(0) }, 1_000)`
    )
    expect({ code, text }).toEqual({ code: 0, text: 'alive\n' })
  })

  it('lets work end by itself for a moment when its time is over', async () => {
    const { code, text } = await run(
      `let left = 300; const ended = endProcessWithLease({}, { what: 'a', remainingMs: () => left });
      setTimeout(() => { left = 0; setTimeout(ended, 50) }, 50);
      setTimeout(() => { console.error('alive'); process.exit(0) }, 1_000)`
    )
    expect({ code, text }).toEqual({ code: 0, text: 'alive\n' })
  })
})
