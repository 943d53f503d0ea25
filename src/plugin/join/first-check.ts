import { readdir } from 'node:fs/promises'
import type { AdminClient } from '../admin-client.ts'
import { readMembersAnswer, standingOf, wipedError } from './members-answer.ts'
import type { Applicant } from './members-answer.ts'

/** How long the nodes that are asked may take: a start must not hang on those that are down. */
const timeoutMs = 1_500

/** What {@link checkBeforeStart} asks with. */
export interface FirstCheck {
  readonly applicant: Applicant
  readonly nodes: readonly string[]
  readonly membersPath: string
  readonly dataDir: string | null
  readonly client: AdminClient
}

/**
 * Refuses, before anything is written, a node that can never join: rejects with `RAFT_MISDIRECTED` (another cluster) or
 * `RAFT_MEMBER_EXISTS` (the id or address of somebody else, or its own with nothing left of what it had stored). Nodes
 * that do not answer are asked again later; a node that has been started before asks nobody.
 */
export async function checkBeforeStart ({ applicant, nodes, membersPath, dataDir, client }: FirstCheck): Promise<void> {
  if (dataDir !== null && !await isEmpty(dataDir)) return
  await Promise.all(nodes.map(async (url) => {
    const answer = await client.call(url, { method: 'GET', path: `${membersPath}?read=linearizable`, body: null }, {}, timeoutMs).catch(() => null)
    const members = answer?.statusCode === 200 ? readMembersAnswer(answer.text) : null
    if (members !== null && standingOf(applicant, members, url) === 'voter') throw wipedError(applicant.id)
  }))
}

async function isEmpty (directory: string): Promise<boolean> {
  try {
    return (await readdir(directory)).length === 0
  } catch {
    // Missing, or unusable: the storage will say so.
    return true
  }
}
