import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { readLatest, writeUnderToken, writeUnfenced } from '../../examples/fencing/files.ts'
import { deposit, schema, setBalance, setBalanceUnfenced, underFence } from '../../examples/fencing/postgres.ts'
import { createService } from '../../examples/fencing/service.ts'
import { until } from '../support/until.ts'
import { overlappingHolders } from './support/overlapping-holders.ts'
import type { PostgresServer } from './support/postgres-server.ts'
import { postgresPrograms, startPostgres } from './support/postgres-server.ts'

const fenced = expect.objectContaining({ code: 'RAFT_FENCED' }) as Error

describe('two holders of one lock', () => {
  it('overlap: the first one was paused behind its check, and does not know', async () => {
    const { frozen, later } = await overlappingHolders()
    frozen.check()
    later.check()
    expect(Number(later.token)).toBeGreaterThan(Number(frozen.token))
  })
})

describe('the map', () => {
  it('refuses the first holder as soon as its lock is lost, also before the second has written', async () => {
    const { frozen, later, frozenMap, laterMap } = await overlappingHolders()
    await expect(frozenMap.set('by', 'frozen', { fence: frozen.token })).rejects.toThrow(fenced)
    await laterMap.set('by', 'later', { fence: later.token })
    await expect(frozenMap.set('by', 'frozen', { fence: frozen.token })).rejects.toThrow(fenced)
    expect((await laterMap.get('by'))?.value).toBe('later')
  })

  it('without the fence: the first holder has the last word', async () => {
    const { frozen, frozenMap, laterMap } = await overlappingHolders()
    frozen.check()
    await laterMap.set('by', 'later')
    await frozenMap.set('by', 'frozen')
    expect((await laterMap.get('by'))?.value).toBe('frozen')
  })
})

describe('an HTTP service', () => {
  async function startService () {
    const service = createService()
    onTestFinished(async () => { await service.close() })
    const put = async (path: string, value: string, token?: string) => await service.inject({
      method: 'PUT',
      url: path,
      headers: token === undefined ? {} : { 'x-fencing-token': token },
      payload: { value }
    })
    const valueOf = async (path: string) => (await service.inject(path)).json<{ value: string | null }>().value
    return { put, valueOf }
  }

  it('refuses the first holder once the second has written', async () => {
    const { frozen, later } = await overlappingHolders()
    const { put, valueOf } = await startService()
    expect((await put('/values/v', 'frozen, in time', frozen.token)).statusCode).toBe(200)
    expect((await put('/values/v', 'later', later.token)).statusCode).toBe(200)
    expect((await put('/values/v', 'later, once more', later.token)).statusCode).toBe(200)
    const refused = await put('/values/v', 'frozen', frozen.token)
    expect([refused.statusCode, refused.json()]).toEqual([412, expect.objectContaining({ code: 'RAFT_FENCED' })])
    expect(await valueOf('/values/v')).toBe('later, once more')
  })

  it('refuses whoever shows no token, or something else', async () => {
    const { put, valueOf } = await startService()
    for (const odd of [undefined, '', '0', '01', '-1', '1.0', '1e3', '0x1', '1, 2', '9007199254740992', '1'.repeat(17)]) {
      const refused = await put('/values/v', 'nobody', odd)
      expect([refused.statusCode, refused.json<{ code: string }>().code]).toEqual([400, 'RAFT_INVALID_REQUEST'])
    }
    expect(await valueOf('/values/v')).toBeNull()
  })

  it('without the fence: the first holder has the last word', async () => {
    const { frozen, later } = await overlappingHolders()
    const { put, valueOf } = await startService()
    await put('/unfenced/v', 'later', later.token)
    await put('/unfenced/v', 'frozen', frozen.token)
    expect(await valueOf('/unfenced/v')).toBe('frozen')
  })
})

describe('a file', () => {
  async function makeDirectory (): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-fenced-'))
    onTestFinished(async () => { await rm(directory, { recursive: true, force: true }) })
    return directory
  }

  it('that the first holder writes too late is never read', async () => {
    const { frozen, later } = await overlappingHolders()
    const directory = await makeDirectory()
    expect(await readLatest(directory, 'report')).toBeNull()
    await writeUnderToken(directory, 'report', frozen.token, 'frozen, in time')
    expect(await readLatest(directory, 'report')).toBe('frozen, in time')
    await writeUnderToken(directory, 'report', later.token, 'later')
    await writeUnderToken(directory, 'report', frozen.token, 'frozen')
    expect(await readLatest(directory, 'report')).toBe('later')
  })

  it('is found by the number of its token: 10 comes after 9', async () => {
    const directory = await makeDirectory()
    await writeUnderToken(directory, 'report', '10', 'ten')
    await writeUnderToken(directory, 'report', '9', 'nine')
    await writeUnderToken(directory, 'report.old', '11', 'another one')
    expect(await readLatest(directory, 'report')).toBe('ten')
  })

  it('without the fence: the first holder has the last word', async () => {
    const directory = await makeDirectory()
    await writeUnfenced(directory, 'report', 'later')
    await writeUnfenced(directory, 'report', 'frozen')
    expect(await readFile(join(directory, 'report'), 'utf8')).toBe('frozen')
  })
})

const programs = postgresPrograms()
const skipped = programs === null ? ' (skipped: PostgreSQL is not installed)' : ''

describe.skipIf(programs === null)(`PostgreSQL${skipped}`, () => {
  let server: PostgresServer
  let first: Client
  let second: Client
  beforeAll(async () => {
    server = await startPostgres(programs ?? '')
    ;[first, second] = [await server.connect(), await server.connect()]
    await first.query(schema)
  })
  afterAll(async () => { await server.stop() })

  /** An account of its own for each test. */
  async function open (id: string): Promise<string> {
    await first.query('INSERT INTO accounts VALUES ($1, 0)', [id])
    return id
  }

  async function balanceOf (id: string): Promise<number> {
    const { rows: [account] } = await first.query<{ balance: string }>('SELECT balance FROM accounts WHERE id = $1', [id])
    return Number(account?.balance)
  }

  it('refuses the first holder in the statement that writes', async () => {
    const { frozen, later } = await overlappingHolders()
    const id = await open('statement')
    await setBalance(first, id, 1, frozen.token)
    await setBalance(second, id, 2, later.token)
    await setBalance(second, id, 3, later.token)
    await expect(setBalance(first, id, 4, frozen.token)).rejects.toThrow(fenced)
    expect(await balanceOf(id)).toBe(3)
  })

  it('refuses a writer that waited for the transaction of a later one', async () => {
    const { frozen, later } = await overlappingHolders()
    const id = await open('waiting')
    let late: Promise<unknown> = Promise.resolve()
    await underFence(second, id, later.token, async () => {
      late = setBalance(first, id, 1, frozen.token).catch((error: unknown) => error)
      await untilBlocked(second, first)
      await second.query('UPDATE accounts SET balance = 2 WHERE id = $1', [id])
    })
    expect(await late).toEqual(fenced)
    expect(await balanceOf(id)).toBe(2)
  })

  it('lets a later holder wait for a transaction that began in time, and see all of it', async () => {
    const { frozen, later } = await overlappingHolders()
    const id = await open('in time')
    let next: Promise<number> = Promise.resolve(0)
    await underFence(first, id, frozen.token, async () => {
      next = deposit(second, id, 10, later.token)
      await untilBlocked(first, second)
      await first.query('UPDATE accounts SET balance = 1 WHERE id = $1', [id])
    })
    expect(await next).toBe(11)
    await expect(deposit(first, id, 1, frozen.token)).rejects.toThrow(fenced)
    expect(await balanceOf(id)).toBe(11)
  })

  it('takes back all of a transaction whose work fails, its fence too', async () => {
    const { frozen, later } = await overlappingHolders()
    const id = await open('failing')
    const failing = underFence(second, id, later.token, async () => {
      await second.query('UPDATE accounts SET balance = 9 WHERE id = $1', [id])
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await deposit(first, id, 1, frozen.token)).toBe(1)
  })

  it('with a look before the statement instead: the first holder has the last word', async () => {
    const { frozen, later } = await overlappingHolders()
    const id = await open('looked')
    const { rows: [seen] } = await first.query<{ fence: string }>('SELECT fence FROM accounts WHERE id = $1', [id])
    expect(Number(seen?.fence)).toBeLessThanOrEqual(Number(frozen.token))
    await setBalance(second, id, 2, later.token)
    await setBalanceUnfenced(first, id, 3)
    expect(await balanceOf(id)).toBe(3)
  })

  it('without the fence: the first holder has the last word', async () => {
    const id = await open('unfenced')
    await setBalanceUnfenced(second, id, 2)
    await setBalanceUnfenced(first, id, 3)
    expect(await balanceOf(id)).toBe(3)
  })

  /** Waits until `waiting` waits for a lock that `holder` has, as the server says in the holder's connection. */
  async function untilBlocked (holder: Client, waiting: Client): Promise<void> {
    const { processID } = waiting as unknown as { readonly processID: number }
    await until('one waits for the other', async () => {
      const { rows } = await holder.query('SELECT 1 WHERE cardinality(pg_blocking_pids($1)) > 0', [processID])
      return rows.length > 0
    })
  }
})
