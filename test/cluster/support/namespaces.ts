import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

/** Whether this machine lets a test make networks of its own. */
export type Permission =
  | { readonly kind: 'permitted' }
  | { readonly kind: 'refused', readonly why: string }

const probeTimeoutMs = 10_000
/** Everything in here is private to the new namespaces: whatever happens, it ends with their last process. */
const enterScript = 'mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up && exec "$@"'
const probeScript = 'echo 1 > /proc/sys/net/ipv4/ip_forward && ip netns add probe && ' +
  'ip link add probe0 type veth peer name eth0 netns probe && ip netns exec probe true && ' +
  'ip rule add pref 1000 from 198.18.1.2 to 198.18.2.2 blackhole'

/** Tries everything that a network of namespaces takes: about 100 ms. */
export function probeNamespaces (): Permission {
  if (process.platform !== 'linux') return { kind: 'refused', why: `${process.platform} has no network namespaces` }
  const { error, status, signal, stderr } = spawnSync('unshare', argumentsFor(['sh', '-ec', probeScript]), {
    encoding: 'utf8',
    timeout: probeTimeoutMs,
    killSignal: 'SIGKILL'
  })
  if (error !== undefined) return { kind: 'refused', why: error.message }
  if (status === 0) return { kind: 'permitted' }
  return { kind: 'refused', why: stderr.trim().split('\n')[0] || `a probe ended with ${status ?? signal}` }
}

/** What a command printed to standard output, and how it ended. */
export interface NamespaceRun {
  readonly code: number | null
  readonly output: string
}

/**
 * Runs a command in new namespaces of network, mounts and processes. Its errors go to those of this process. When it
 * ends, or takes longer than `timeoutMs`, the kernel kills every process that it started, and the network is gone with
 * them. A command that calls {@link endWithParent} ends with this process as well.
 */
export async function runInNamespaces (command: readonly string[], timeoutMs: number): Promise<NamespaceRun> {
  const child = spawn('unshare', argumentsFor(command), {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL'
  })
  const kill = (): void => { child.kill('SIGKILL') }
  process.on('exit', kill)
  try {
    let output = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => { output += text })
    const [code] = await once(child, 'close') as [number | null]
    return { code, output }
  } finally {
    process.off('exit', kill)
  }
}

/** Whether a tool may go on; without namespaces it says that it is skipped, and ends with code 2. */
export function hasNamespaces (): boolean {
  const permission = probeNamespaces()
  if (permission.kind === 'permitted') return true
  process.stderr.write(`SKIPPED: network namespaces are not permitted here: ${permission.why}\n`)
  process.exitCode = 2
  return false
}

/** From now on this process ends when the one that started it is gone, if that one opened a message channel. */
export function endWithParent (): void {
  process.once('disconnect', () => { process.exit(1) })
  process.channel?.unref()
}

function argumentsFor (command: readonly string[]): string[] {
  // Without root, in a namespace of users in which this user is root.
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  return [
    ...asRoot, '--net', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc',
    'sh', '-ec', enterScript, 'sh', ...command
  ]
}
