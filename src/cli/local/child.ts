import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'

/** How a process is started, the first time and after each restart. */
interface ChildCommand {
  /** Names the process in messages. */
  readonly name: string
  /** Arguments for this Node.js executable; the first is the program. */
  readonly args: readonly string[]
  /** Output and errors of every run are appended here. */
  readonly logFile: string
}

/** How a process ended. */
interface ChildExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const logTailBytes = 2_000
/** A line of the log at level info or below. */
const quietLine = /^\{"level":[123]0,.*\n/gm

// The children end with this process: killed from here when it still emits an exit event, and by the closed message
// channel when it does not (SIGKILL, a closed terminal).
const running = new Set<ChildProcess>()
process.on('exit', () => { for (const child of running) child.kill('SIGKILL') })

/** One child process that can be killed and started again. */
export class Child {
  readonly command: ChildCommand
  #process: ChildProcess | null = null
  #exit: Promise<ChildExit> = Promise.resolve({ code: null, signal: null })

  constructor (command: ChildCommand) {
    this.command = command
  }

  get running (): boolean { return this.#process !== null }
  get pid (): number | null { return this.#process?.pid ?? null }

  /** Resolves when the process that was started last has ended; at once when there is none. */
  get exited (): Promise<ChildExit> { return this.#exit }

  /** Starts the process. Throws when it runs already. */
  start (): void {
    if (this.#process !== null) throw new Error(`${this.command.name} is already running`)
    const log = openSync(this.command.logFile, 'a')
    try {
      const child = spawn(process.execPath, this.command.args, {
        stdio: ['ignore', log, log, 'ipc'],
        env: childEnvironment()
      })
      this.#process = child
      running.add(child)
      this.#exit = this.#watch(child)
    } finally {
      closeSync(log)
    }
  }

  /** Sends a signal and resolves when the process has ended. Nothing happens when there is none. */
  async kill (signal: NodeJS.Signals): Promise<ChildExit> {
    this.signal(signal)
    return await this.#exit
  }

  /** Sends a signal, for example SIGSTOP, and waits for nothing. */
  signal (signal: NodeJS.Signals): void {
    this.#process?.kill(signal)
  }

  /** Asks the process to close and kills it when it has not within `graceMs`. */
  async stop (graceMs: number): Promise<ChildExit> {
    const timer = setTimeout(() => { this.signal('SIGKILL') }, graceMs)
    try {
      return await this.kill('SIGTERM')
    } finally {
      clearTimeout(timer)
    }
  }

  /** The end of what the process wrote, for messages: without the lines of its log that tell of its normal life. */
  logTail (): string {
    return readFileSync(this.command.logFile, 'utf8').replaceAll(quietLine, '').slice(-logTailBytes)
  }

  async #watch (child: ChildProcess): Promise<ChildExit> {
    try {
      const [code, signal] = await once(child, 'exit') as [number | null, NodeJS.Signals | null]
      return { code, signal }
    } catch {
      // Could not be started at all; there is no exit code then.
      return { code: null, signal: null }
    } finally {
      running.delete(child)
      this.#process = null
    }
  }
}

// Settings of the surrounding shell must not leak into a cluster that is fully described by its flags.
function childEnvironment (): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(CLUSTER|GATEWAY)_/.test(name)))
}
