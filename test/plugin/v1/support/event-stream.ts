import http from 'node:http'

/** One event as a browser would take it; `data` is null for one that only carries an id. */
export interface ServerEvent {
  readonly id: string | null
  readonly type: string
  readonly data: unknown
}

/** An open event stream. */
export interface EventStream {
  readonly response: http.IncomingMessage
  /** The next event; null when the stream has ended. */
  readonly next: () => Promise<ServerEvent | null>
  readonly close: () => void
}

/** Opens an event stream over HTTP. The response has another status when it is refused. */
export async function openEvents (url: string, headers: http.OutgoingHttpHeaders = {}): Promise<EventStream> {
  const request = http.get(url, { agent: false, headers })
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    request.on('error', reject)
    request.on('response', resolve)
  })
  request.on('error', () => {})
  const events = eventsOf(response)
  return {
    response,
    next: async () => {
      const step = await events.next()
      return step.done === true ? null : step.value
    },
    close: () => { request.destroy() }
  }
}

async function * eventsOf (response: http.IncomingMessage): AsyncGenerator<ServerEvent, void, undefined> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) {
    text += String(chunk)
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      yield eventOf(text.slice(0, end))
      text = text.slice(end + 2)
    }
  }
}

function eventOf (block: string): ServerEvent {
  const fields = new Map(block.split('\n').map((line) => {
    const colon = line.indexOf(': ')
    return [line.slice(0, colon), line.slice(colon + 2)] as const
  }))
  const data = fields.get('data')
  return {
    id: fields.get('id') ?? null,
    type: fields.get('event') ?? 'message',
    data: data === undefined ? null : JSON.parse(data)
  }
}
