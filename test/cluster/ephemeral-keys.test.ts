import { describe, expect, it, onTestFinished } from 'vitest'
import { getJson, pollUntil } from '../../src/cli/local/polling.ts'
import type { NotesCopy } from './support/notes-cluster.ts'
import { NotesCluster } from './support/notes-cluster.ts'
import { send } from './support/requests.ts'

interface Page {
  readonly entries: ReadonlyArray<{ readonly key: string, readonly session?: string, readonly ttlMs?: number }>
}

/** The keys of `kv`, as a copy has applied them. */
async function keysOn ({ url }: NotesCopy): Promise<readonly string[]> {
  const page = await getJson<Page>(`${url}/_cluster/v1/kv?read=local`, 5_000)
  return page?.entries.map(({ key }) => key) ?? []
}

/** What a stream of changes shows, until it ends. */
async function watch ({ url }: NotesCopy, seen: string[]): Promise<void> {
  const response = await fetch(`${url}/_cluster/v1/kv-changes?prefix=`)
  for await (const chunk of response.body ?? []) {
    for (const [, events = '[]'] of Buffer.from(chunk).toString('utf8').matchAll(/"events":(\[.*\])\}/g)) {
      for (const { kind, key } of JSON.parse(events) as ReadonlyArray<{ kind: string, key: string }>) {
        seen.push(`${kind} ${key}`)
      }
    }
  }
}

describe('keys that end by themselves, on three processes', () => {
  it('go with the process that is killed, though it led, and with their time; others stay', { timeout: 120_000 }, async () => {
    const cluster = await NotesCluster.start()
    onTestFinished(async () => { await cluster.stop() })
    const leader = await cluster.leader()
    const [survivor, other] = await cluster.followers()
    if (survivor === undefined || other === undefined) throw new Error('there are no followers')
    const seen: string[] = []
    const watching = watch(survivor, seen).catch(() => {})
    for (const { url } of cluster.copies) expect((await send('POST', `${url}/presence`)).status).toBe(200)
    const put = await send('PUT', `${other.url}/_cluster/v1/kv/code`, { value: 1, ttlMs: 4_000 })
    expect(put.status).toBe(200)
    await send('PUT', `${other.url}/_cluster/v1/kv/stays`, { value: 1 })
    const all = ['code', 'presence/n1', 'presence/n2', 'presence/n3', 'stays']
    expect(await keysOn(leader)).toEqual(all)

    await leader.child.kill('SIGKILL')
    const gone = `presence/${leader.id}`
    for (const copy of [survivor, other]) {
      await pollUntil(`${gone} to be gone on ${copy.id}`, 60_000, async () => {
        const keys = await keysOn(copy)
        return keys.includes(gone) || keys.includes('code') ? null : true
      })
      expect(await keysOn(copy)).toEqual(all.filter((key) => key !== gone && key !== 'code'))
    }
    await pollUntil('the watch to show it', 10_000, async () => seen.includes(`expired ${gone}`) ? true : null)
    expect(seen.filter((event) => event.startsWith('expired')).sort()).toEqual(['expired code', `expired ${gone}`])

    // In order: at once.
    await other.child.stop(10_000)
    leader.child.start()
    await pollUntil('the key of a copy that has closed to be gone', 20_000, async () =>
      (await keysOn(survivor)).includes(`presence/${other.id}`) ? null : true)
    await survivor.child.stop(10_000)
    await watching
  })
})
