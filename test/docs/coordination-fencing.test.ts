import type { FastifyInstance } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { runSnippet } from './support/run-snippet.ts'
import { read, snippets } from './support/snippets.ts'

describe('the section on fencing in docs/coordination.md', () => {
  it('has a service that lets in later tokens, and the same one again', async () => {
    const { service } = await runSnippet('docs/coordination.md', "service.put<{ Body: string }>('/report'", ['service']) as {
      service: FastifyInstance
    }
    onTestFinished(async () => { await service.close() })
    const put = async (payload: string, headers: Record<string, string>) => await service.inject({
      method: 'PUT', url: '/report', payload, headers: { 'content-type': 'text/plain', ...headers }
    })
    const statuses: number[] = []
    for (const token of ['7', '7', '12', '7']) statuses.push((await put(`by ${token}`, { 'x-fencing-token': token })).statusCode)
    expect(statuses).toEqual([200, 200, 200, 412])
    expect((await put('by nobody', {})).json()).toMatchObject({ statusCode: 400, code: 'RAFT_INVALID_REQUEST' })
    expect((await put('by 12', { 'x-fencing-token': '12' })).json()).toEqual({ text: 'by 12', token: '12' })
  })

  it('shows the statement that the example for PostgreSQL runs', () => {
    const shown = snippets.filter(({ place, code }) => place.startsWith('docs/coordination.md') && code.startsWith('UPDATE'))
    expect(shown).toHaveLength(1)
    expect(read('examples/fencing/postgres.ts')).toContain(`'${shown[0]?.code}'`)
  })
})
