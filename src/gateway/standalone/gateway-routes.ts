import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { errorHeaders, errorText, metricsContentType } from '../../raft/internal.ts'
import { refusals } from '../forward/refusals.ts'
import type { GatewayStatus } from './gateway-status.ts'

/** What the routes tell. */
interface GatewayView {
  readonly status: () => GatewayStatus
  /** Whether balancers are to send requests here, and what that was judged by. */
  readonly readiness: () => Readiness
  readonly metrics: () => string
}

/** Whether a gateway is to get requests, by checks with a name each. */
export interface Readiness {
  readonly ok: boolean
  readonly checks: Readonly<Record<string, { readonly ok: boolean, readonly detail: string }>>
}

/** Bounds of the server for these routes: probes and scrapers are few. */
const adminLimits = { maxConnections: 100, timeoutMs: 5_000 } as const

/** The gateway's own routes: `livez`, `readyz`, `status` and `metrics`, for GET and HEAD. */
export class GatewayRoutes {
  readonly #view: GatewayView

  constructor (view: GatewayView) {
    this.#view = view
  }

  /** A server for them alone, not listening yet. */
  createServer (): Server {
    const { maxConnections, timeoutMs } = adminLimits
    const server = createServer({ headersTimeout: timeoutMs, requestTimeout: timeoutMs }, (req, res) => {
      this.answer(req, res, req.url?.split('?', 1)[0] ?? '')
    })
    server.maxConnections = maxConnections
    return server
  }

  answer (req: IncomingMessage, res: ServerResponse, path: string): void {
    const isRead = req.method === 'GET' || req.method === 'HEAD'
    switch (isRead ? path : '') {
      case '/livez':
        // Also while it closes: who restarts it for that would cut what is under way.
        answerJson(res, 200, { status: 'ok' })
        return
      case '/readyz': {
        const { ok, checks } = this.#view.readiness()
        answerJson(res, ok ? 200 : 503, { status: ok ? 'ok' : 'unavailable', checks })
        return
      }
      case '/status':
        answerJson(res, 200, this.#view.status())
        return
      case '/metrics':
        answer(res, 200, { 'content-type': metricsContentType }, this.#view.metrics())
        return
      default: {
        const refusal = refusals.notFound()
        answer(res, refusal.statusCode, errorHeaders(refusal), errorText(refusal))
      }
    }
  }
}

function answerJson (res: ServerResponse, statusCode: number, value: unknown): void {
  const retry = statusCode === 503 ? { 'retry-after': '1' } : {}
  answer(res, statusCode, { 'content-type': 'application/json; charset=utf-8', ...retry }, JSON.stringify(value))
}

function answer (res: ServerResponse, statusCode: number, headers: Record<string, string>, text: string): void {
  const body = Buffer.from(text)
  res.writeHead(statusCode, { ...headers, 'content-length': String(body.length), 'cache-control': 'no-store' })
  res.end(body)
}
