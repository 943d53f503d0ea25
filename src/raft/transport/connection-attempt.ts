import { connect } from 'node:net'
import type { Environment } from '../runtime/environment.ts'
import { systemEnvironment } from '../runtime/environment.ts'

/** The ports of URLs that name none. */
const defaultPorts: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

/** What becomes of an attempt. */
interface AttemptEvents {
  readonly refused: () => void
  /** It is over, however it went; called once, before `refused`. */
  readonly ended: () => void
}

/**
 * Opens a connection to the host and port of a URL, and closes it as soon as it is open: nothing is sent, no TLS is
 * spoken. `refused` is called when every address of the host refused it, which a host does where no process listens, as
 * a firewall may. Any other outcome is no news. Gives up after `timeoutMs`. The returned function ends it.
 */
export function attemptConnection (
  url: string,
  timeoutMs: number,
  { refused, ended }: AttemptEvents,
  { timers, connector }: Pick<Environment, 'timers' | 'connector'> = systemEnvironment
): () => void {
  const { protocol, hostname, host, port } = new URL(url)
  const to = {
    hostname: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? defaultPorts[protocol] ?? 0 : Number(port)
  }
  let isOver = false
  let close = (): void => {}
  const end = (): void => {
    if (isOver) return
    isOver = true
    cancel()
    close()
    ended()
  }
  const cancel = timers.after(timeoutMs, end)
  const failed = (error: Error): void => {
    end()
    if (isRefusal(error)) refused()
  }
  if (connector === null) {
    const socket = connect({ host: to.hostname, port: to.port })
    close = () => { socket.destroy() }
    socket.once('connect', end)
    socket.once('error', failed)
  } else {
    connector({ hostname: to.hostname, host, protocol, port: String(to.port) }, (...[error, socket]) => {
      if (error !== null) {
        failed(error)
        return
      }
      socket.destroy()
      end()
    })
  }
  return end
}

/** A host with several addresses has an error for each of them (RFC 8305 tries them in turn). */
function isRefusal (error: Error): boolean {
  if (error instanceof AggregateError) {
    return error.errors.every((one: unknown) => one instanceof Error && isRefusal(one))
  }
  return 'code' in error && error.code === 'ECONNREFUSED'
}
