import { FencedError } from 'fastify-raft/errors'
import type { ClientBase } from 'pg'

/** A table whose rows have a fence each. */
export const schema = `
  CREATE TABLE accounts (
    id text PRIMARY KEY,
    balance bigint NOT NULL,
    fence bigint NOT NULL DEFAULT 0
  )`

/**
 * Sets a balance under a fencing token. Rejects with `RAFT_FENCED` when a later holder was here, or there is no such
 * account, and nothing has changed then.
 *
 * The look at the fence is part of the statement that writes: PostgreSQL locks the row, and judges a writer that had to
 * wait by the row as it is then. `<=` lets a holder write as often as it likes; with `<` it would do so once.
 */
export async function setBalance (client: ClientBase, id: string, balance: number, token: string): Promise<void> {
  const { rowCount } = await client.query(
    'UPDATE accounts SET balance = $2, fence = $3 WHERE id = $1 AND fence <= $3',
    [id, balance, token]
  )
  if (rowCount === 0) throw new FencedError(token)
}

/**
 * Several statements under one token, as one transaction. Rejects with `RAFT_FENCED` before the first of them when a
 * later holder was here, and with what `work` rejects with.
 *
 * The fence is raised before anything is read: from then on an earlier holder writes nothing that this one has not
 * seen. Its row is locked to the end, so that whoever comes meanwhile waits.
 */
export async function underFence<T> (
  client: ClientBase,
  id: string,
  token: string,
  work: () => Promise<T>
): Promise<T> {
  await client.query('BEGIN')
  try {
    const { rowCount } = await client.query(
      'UPDATE accounts SET fence = $2 WHERE id = $1 AND fence <= $2',
      [id, token]
    )
    if (rowCount === 0) throw new FencedError(token)
    const result = await work()
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  }
}

/** Adds to a balance: what is read and what is written belong to one transaction under the fence. */
export async function deposit (client: ClientBase, id: string, amount: number, token: string): Promise<number> {
  return await underFence(client, id, token, async () => {
    const { rows: [account] } = await client.query<{ balance: string }>(
      'SELECT balance FROM accounts WHERE id = $1',
      [id]
    )
    const balance = Number(account?.balance) + amount
    await client.query('UPDATE accounts SET balance = $2 WHERE id = $1', [id, balance])
    return balance
  })
}

/** The same as `setBalance` without a fence, for comparison: whoever comes last wins. */
export async function setBalanceUnfenced (client: ClientBase, id: string, balance: number): Promise<void> {
  await client.query('UPDATE accounts SET balance = $2 WHERE id = $1', [id, balance])
}
