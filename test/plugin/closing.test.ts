import { describe, expect, it } from 'vitest'
import type { Leadership } from '../../src/raft/index.ts'
import { fakeApp, threeMembers } from './fake-app.ts'

describe('a leader that closes', () => {
  it('hands leadership over before it waits for its connections, not after', async () => {
    let whileClosing: Leadership | null | undefined
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.addHook('preClose', async () => { whileClosing = engine.leadership() })
    })
    engine.lead()
    await app.listen({ port: 0, host: '127.0.0.1' })
    await app.close()
    expect(whileClosing).toBeNull()
  })
})
