import type { Message } from './message.ts'

/** Whether a message asks for something; any other one answers. */
export function isRequest ({ kind }: Message): boolean {
  switch (kind) {
    case 'pre-vote-request':
    case 'vote-request':
    case 'append-request':
    case 'heartbeat-request':
    case 'read-request':
    case 'timeout-now':
      return true
    case 'pre-vote-response':
    case 'vote-response':
    case 'append-response':
    case 'heartbeat-response':
    case 'read-response':
      return false
  }
}
