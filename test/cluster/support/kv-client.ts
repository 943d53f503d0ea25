/** One entry of the replicated map as `/_cluster/v1/kv` shows it. */
export interface KvEntry {
  readonly key: string
  readonly value: unknown
  readonly revision: number
}

/** The outcome of one attempt to write. */
export type WriteOutcome =
  | { readonly kind: 'written', readonly revision: number }
  /** The key was at another revision; this write was not applied, or not by this answer. */
  | { readonly kind: 'mismatch' }
  /** The answer guarantees that nothing was executed. */
  | { readonly kind: 'refused', readonly code: string }
  /** It may be applied, now or later. */
  | { readonly kind: 'unknown', readonly reason: string }

const attemptTimeoutMs = 8_000
const refusals = new Set(['RAFT_NO_LEADER', 'RAFT_BUSY', 'RAFT_NOT_LEADER'])

/** Writes a key through one node, in one attempt; unconditionally without `ifRevision`. Never rejects. */
export async function putOnce (
  nodeUrl: string,
  key: string,
  value: unknown,
  ifRevision?: number,
  timeoutMs = attemptTimeoutMs
): Promise<WriteOutcome> {
  return await writeOnce(kvUrl(nodeUrl, key), timeoutMs, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ value, ...(ifRevision === undefined ? {} : { ifRevision }) })
  })
}

/** Writes a key through one node, in one attempt, with an idempotency key. Never rejects. */
export async function putKeyedOnce (
  nodeUrl: string,
  { key, value, idempotencyKey }: { readonly key: string, readonly value: unknown, readonly idempotencyKey: string }
): Promise<WriteOutcome> {
  return await writeOnce(kvUrl(nodeUrl, key), attemptTimeoutMs, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
    body: JSON.stringify({ value })
  })
}

/** Deletes a key that is at a revision through one node, in one attempt. Never rejects. */
export async function deleteOnce (
  nodeUrl: string,
  key: string,
  ifRevision: number,
  timeoutMs = attemptTimeoutMs
): Promise<WriteOutcome> {
  return await writeOnce(`${kvUrl(nodeUrl, key)}?ifRevision=${ifRevision}`, timeoutMs, { method: 'DELETE' })
}

async function writeOnce (url: string, timeoutMs: number, init: RequestInit): Promise<WriteOutcome> {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) })
    const body = (await response.json()) as { readonly revision?: number; readonly code?: string }
    if (response.status === 200 && body.revision !== undefined) return { kind: 'written', revision: body.revision }
    if (response.status === 409) return { kind: 'mismatch' }
    if (body.code !== undefined && refusals.has(body.code)) return { kind: 'refused', code: body.code }
    return { kind: 'unknown', reason: `${response.status} ${body.code}` }
  } catch (error) {
    // Connection refused: no process received the request.
    if (causeCode(error) === 'ECONNREFUSED') return { kind: 'refused', code: 'ECONNREFUSED' }
    return { kind: 'unknown', reason: error instanceof Error ? error.message : String(error) }
  }
}

/** Reads a key as of now. The entry, null when there is none, or undefined when no answer came. */
export async function getEntry (
  nodeUrl: string,
  key: string,
  { read = 'linearizable', timeoutMs = attemptTimeoutMs }: {
    readonly read?: 'linearizable' | 'lease'
    readonly timeoutMs?: number
  } = {}
): Promise<KvEntry | null | undefined> {
  try {
    const response = await fetch(`${kvUrl(nodeUrl, key)}?read=${read}`, { signal: AbortSignal.timeout(timeoutMs) })
    const body = await response.json() as KvEntry
    if (response.status === 200) return body
    return response.status === 404 ? null : undefined
  } catch {
    return undefined
  }
}

/** All entries that one node has applied, in order of the keys, or null when it does not answer. */
export async function allEntries (nodeUrl: string, read: 'linearizable' | 'local'): Promise<readonly KvEntry[] | null> {
  const entries: KvEntry[] = []
  const pageLength = 1_000
  for (let after = ''; ;) {
    try {
      const response = await fetch(`${nodeUrl}/_cluster/v1/kv?read=${read}&limit=${pageLength}${after}`, {
        signal: AbortSignal.timeout(attemptTimeoutMs)
      })
      if (response.status !== 200) return null
      const page = (await response.json() as { readonly entries: readonly KvEntry[] }).entries
      entries.push(...page)
      if (page.length < pageLength) return entries
      after = `&after=${encodeURIComponent(page.at(-1)?.key ?? '')}`
    } catch {
      return null
    }
  }
}

function kvUrl (nodeUrl: string, key: string): string {
  return `${nodeUrl}/_cluster/v1/kv/${encodeURIComponent(key)}`
}

function causeCode (error: unknown): string | undefined {
  return error instanceof Error && error.cause instanceof Error && 'code' in error.cause
    ? String(error.cause.code)
    : undefined
}
