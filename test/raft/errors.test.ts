import fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import * as errors from '../../src/raft/errors.ts'

const classes = Object.entries(errors).map(([name, ErrorClass]) => ({ name, error: new ErrorClass('a', 'b', 'c') }))

describe('errors', () => {
  it('have codes of their own that start with RAFT_', () => {
    expect(classes.filter(({ error }) => !error.code.startsWith('RAFT_'))).toEqual([])
    expect(new Set(classes.map(({ error }) => error.code)).size).toBe(classes.length)
  })

  it('keep their cause', () => {
    const cause = new Error('why')
    expect(new errors.StorageFailedError('x', { cause }).cause).toBe(cause)
  })

  it('with status 503 say when to try again, also when a route of the application throws them', async () => {
    const app = fastify()
    for (const { name, error } of classes) app.get(`/${name}`, () => { throw error })
    for (const { name, error } of classes) {
      const { headers, statusCode } = await app.inject(`/${name}`)
      expect([name, statusCode, headers['retry-after']]).toEqual([
        name,
        error.statusCode,
        error.statusCode === 503 ? '1' : undefined
      ])
    }
    await app.close()
  })
})
