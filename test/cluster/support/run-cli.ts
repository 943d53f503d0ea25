import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { program } from './start-cluster.ts'

/** The result of a run of the command line. */
export interface CliRun {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  readonly errors: string
  readonly elapsedMs: number
}

/** A command that is running. */
export interface RunningCli {
  readonly pid: number
  /** What it printed so far. */
  readonly output: () => string
  /** Resolves with the output when it contains the text. Rejects when the process ends first. */
  readonly printed: (text: string) => Promise<string>
  readonly signal: (name: NodeJS.Signals) => void
  readonly ended: Promise<CliRun>
}

/** How `fastify-raft` is run. */
export interface CliOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  /** A command that becomes the one behind it, such as `unshare --net`. */
  readonly within?: readonly string[]
}

/** Starts `fastify-raft` with these arguments. It is killed after `timeoutMs`; the run then shows the signal. */
export function startCli (
  args: readonly string[],
  {
    environment = {},
    timeoutMs = 20_000,
    within = []
  }: CliOptions = {}
): RunningCli {
  const startedMs = performance.now()
  const [command = process.execPath, ...before] = [...within, process.execPath]
  const child = spawn(command, [...before, program, ...args], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL'
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const ended = once(child, 'close').then(([code, signal]: (number | NodeJS.Signals | null)[]): CliRun => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    output,
    errors,
    elapsedMs: performance.now() - startedMs
  }))
  return {
    pid: child.pid ?? 0,
    output: () => output,
    printed: async (text) =>
      await new Promise((resolve, reject) => {
        const look = (): void => {
          if (output.includes(text)) resolve(output)
        }
        child.stdout.on('data', look)
        child.once('close', () => {
          reject(new Error(`It ended without "${text}":\n${output}${errors}`))
        })
        look()
      }),
    signal: (name) => {
      child.kill(name)
    },
    ended
  }
}

/** Runs `fastify-raft` to its end. */
export async function runCli (
  args: readonly string[],
  options: CliOptions = {}
): Promise<CliRun> {
  return await startCli(args, options).ended
}
