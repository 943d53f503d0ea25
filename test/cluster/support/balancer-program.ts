import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pollUntil } from '../../../src/cli/local/polling.ts'
import { freePorts } from '../../../src/cli/local/ports.ts'

/** A balancer that other people wrote, with its configuration in `examples/balancers`. */
export interface BalancerProgram {
  readonly name: string
  readonly file: string
  /** What it is started with. */
  readonly command: (configuration: string, directory: string) => readonly string[]
  /** What the test adds to the configuration so that it runs in a directory of its own. */
  readonly adapt: (configuration: string, directory: string) => string
  /** Options that print the version. */
  readonly version: string
}

export const haproxy: BalancerProgram = {
  name: 'haproxy',
  file: 'haproxy.cfg',
  command: (configuration) => ['-db', '-f', configuration],
  adapt: (configuration) => configuration,
  version: '-v'
}

export const nginx: BalancerProgram = {
  name: 'nginx',
  file: 'nginx.conf',
  command: (configuration, directory) => ['-p', directory, '-c', configuration, '-e', join(directory, 'nginx.log')],
  adapt: (configuration, directory) => {
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((kind) => `    ${kind}_temp_path ${join(directory, kind)};`)
    return [
      'daemon off;',
      `pid ${join(directory, 'nginx.pid')};`,
      configuration.replace('http {\n', () => ['http {', ...paths, ''].join('\n'))
    ].join('\n')
  },
  version: '-v'
}

/** Whether the program is installed. */
export function isInstalled ({ name, version }: BalancerProgram): boolean {
  return spawnSync(name, [version], { stdio: 'ignore' }).status === 0
}

/** A running balancer. */
export interface RunningBalancer {
  readonly url: string
  readonly stop: () => Promise<void>
}

const startTimeoutMs = 10_000

const ownExamples = fileURLToPath(new URL('../../../examples/balancers/', import.meta.url))

/**
 * Starts the balancer with its example, in which the addresses are those of the nodes. `examples`: the directory of the
 * examples, for programs that run from elsewhere.
 */
export async function startBalancer (
  program: BalancerProgram,
  nodes: ReadonlyArray<{ readonly url: string }>,
  examples = ownExamples
): Promise<RunningBalancer> {
  const directory = await mkdtemp(join(tmpdir(), `fastify-raft-${program.name}-`))
  const [port] = await freePorts(1)
  const example = await readFile(join(examples, program.file), 'utf8')
  const addressed = nodes.reduce(
    (text, { url }, at) => text.replaceAll(`10.0.0.${at + 1}:3000`, new URL(url).host),
    example.replaceAll('10.0.0.10:8080', `127.0.0.1:${port}`)
  )
  const configuration = join(directory, program.file)
  await writeFile(configuration, program.adapt(addressed, directory))
  const child = spawn(program.name, program.command(configuration, directory), { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text: Buffer) => { said = (said + text.toString()).slice(-4_000) })
  const url = `http://127.0.0.1:${port}`
  const stop = async (): Promise<void> => {
    await stopped(child)
    await rm(directory, { recursive: true, force: true })
  }
  try {
    await pollUntil(program.name, startTimeoutMs, async () => {
      if (child.exitCode !== null) throw new Error(`${program.name} ended: ${said}`)
      return await fetch(`${url}/orders`).then(({ status }) => status === 200 ? true : null, () => null)
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { url, stop }
}

async function stopped (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const killer = setTimeout(() => { child.kill('SIGKILL') }, 5_000)
  await exited
  clearTimeout(killer)
}
