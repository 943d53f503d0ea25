import type { LeaderSource } from './types.ts'

/**
 * Calls back with the URL of the leader that another one, or this node, has succeeded. Its idle connections are to be
 * closed from here: it may be about to close them itself, and what is written onto a connection at that moment is lost
 * without anybody knowing whether it was executed (RFC 9112 section 9.3.1). While no successor is known nothing is sent
 * to it. The function returned ends it.
 */
export function onSucceeded (leaders: LeaderSource, succeeded: (url: string) => void): () => void {
  let last = leaders.current()
  return leaders.subscribe(() => {
    const current = leaders.current()
    if (current === null) return
    const former = last === null || last === 'self' ? null : last.url
    last = current
    if (former !== null && (current === 'self' || current.url !== former)) succeeded(former)
  })
}
