import { describe, expect, it } from 'vitest'
import { maxMembers } from '../../../src/plugin/options/member-rules.ts'
import { fakeApp } from '../support/fake-app.ts'

function members (count: number): Array<{ readonly id: string, readonly url: string }> {
  return Array.from({ length: count }, (_, at) => ({ id: `n${at + 1}`, url: `http://127.0.0.1:${at + 1}` }))
}

describe('the members of a cluster', () => {
  it('are no more than they may be, in the options and by a change', async () => {
    // Nothing is kept there. Not empty, so that the start asks nobody whether this node still belongs.
    const options = { id: 'n1', dataDir: import.meta.dirname, members: members(maxMembers) }
    const { app, engine } = await fakeApp(options)
    engine.lead()
    await expect(app.cluster.addMember({ id: 'more', url: 'http://127.0.0.1:999' })).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringContaining(`at most ${maxMembers}`) as string
    })
    const answer = await app.inject({
      method: 'POST',
      url: '/_cluster/v1/members',
      payload: { id: 'more', url: 'http://127.0.0.1:999' }
    })
    expect([answer.statusCode, answer.json()]).toMatchObject([400, { code: 'RAFT_INVALID_REQUEST' }])
    const tooMany = { ...options, members: members(maxMembers + 1) }
    await expect(fakeApp(tooMany)).rejects.toThrow(`members must have at most ${maxMembers} items`)
  })
})
