#!/usr/bin/env node
import { createRequire } from 'node:module'
import { type Command, parseCommandLine } from './flags/command-line.ts'
import { UsageError } from './flags/flag-values.ts'
import { describeFailure } from './terminal/messages.ts'
import { stopSignal } from './terminal/shutdown.ts'

// What a shell reports for a process that SIGINT has ended.
const interruptedExitCode = 130

function print (line: string): void { console.log(line) }

/** Runs one command and resolves with the exit code. Never rejects. */
async function main (argv: readonly string[]): Promise<number> {
  let command: Command
  try {
    command = parseCommandLine(argv, process.env)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`fastify-raft: ${error.message}`)
    console.error(`Try: fastify-raft ${error.command === null ? '' : `${error.command} `}--help`)
    return 2
  }
  try {
    return await run(command)
  } catch (error) {
    const listen = command.kind === 'node' || command.kind === 'gateway' ? command.settings.listen : null
    const { message, exitCode } = describeFailure(error, listen)
    console.error(`fastify-raft: ${message}`)
    return exitCode
  }
}

// Each command loads what it needs, so that help and refusals do not wait for a whole server to load.
async function run (command: Command): Promise<number> {
  switch (command.kind) {
    case 'print': print(command.text.trimEnd()); return 0
    case 'version': print(packageVersion()); return 0
    case 'node': {
      const { runNode } = await import('./commands/node.ts')
      return await runNode(command.settings)
    }
    case 'gateway': {
      const { runGateway } = await import('./commands/gateway.ts')
      return await runGateway(command.settings)
    }
    case 'members': {
      const { runMembers } = await import('./commands/admin.ts')
      await runMembers(command.settings, print)
      return 0
    }
    case 'leader': {
      const { runLeader } = await import('./commands/admin.ts')
      await runLeader(command.settings, print)
      return 0
    }
    case 'locks':
    case 'sessions':
    case 'schedules':
    case 'tasks': {
      const { runCoordination } = await import('./commands/coordination.ts')
      await runCoordination(command, print)
      return 0
    }
    case 'wal': {
      const { runWal } = await import('./commands/wal.ts')
      return await runWal(command.settings, print, (line) => { console.error(line) })
    }
    case 'snapshot': {
      const { runSnapshot } = await import('./commands/snapshot.ts')
      return await runSnapshot(command.settings, print, (line) => { console.error(line) })
    }
    case 'secret': {
      const { runSecret } = await import('./commands/secret.ts')
      runSecret(command.settings, print)
      return 0
    }
    case 'token': {
      const { runToken } = await import('./commands/token.ts')
      await runToken(command.settings, print)
      return 0
    }
    case 'local': {
      const { runLocal } = await import('./commands/local.ts')
      return await untilInterrupted(0, async (signal) => { await runLocal(command.settings, print, signal); return 0 })
    }
    case 'demo': {
      const { runDemo } = await import('./commands/demo.ts')
      return await untilInterrupted(interruptedExitCode, async (signal) =>
        (await runDemo(command.settings, print, signal)) ? 0 : 1
      )
    }
  }
}

async function untilInterrupted (exitCode: number, work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const signal = stopSignal()
  try {
    return await work(signal)
  } catch (error) {
    if (signal.aborted && error === signal.reason) return exitCode
    throw error
  }
}

function packageVersion (): string {
  return (createRequire(import.meta.url)('fastify-raft/package.json') as { readonly version: string }).version
}

process.exit(await main(process.argv.slice(2)))
