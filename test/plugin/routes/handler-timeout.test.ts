import { describe, expect, it } from 'vitest'
import { answerOf, twoCopies } from '../support/two-copies.ts'

describe('handlerTimeout of a forwarded route', () => {
  it('ends the wait for a leader: the client is answered once, and a leader that comes later is sent nothing', async () => {
    const ran: string[] = []
    const lines: Array<{ readonly level: number, readonly msg: string }> = []
    const stream = { write: (line: string) => { lines.push(JSON.parse(line) as { level: number, msg: string }) } }
    const { follower } = await twoCopies(async (app, registerCluster) => {
      await registerCluster()
      app.post('/x', { forward: true, handlerTimeout: 100 }, async () => { ran.push('x') })
    }, { logger: { stream } })
    follower.engine.lose(null)
    const answer = await answerOf(await fetch(`${follower.url}/x`, { method: 'POST', body: 'x' }))
    expect(answer).toMatchObject({ status: 503, body: { code: 'FST_ERR_HANDLER_TIMEOUT' } })
    follower.engine.lose('n2')
    // Longer than a leader is waited for: whatever was left of the request would have been done by then.
    await new Promise((resolve) => { setTimeout(resolve, 700) })
    expect(ran).toEqual([])
    expect(lines.filter(({ level, msg }) => level >= 40 && !msg.includes('timed out'))).toEqual([])
  })
})
