import type { AdminClient } from '../../gateway/internal.ts'
import { UnknownMemberError } from '../../raft/index.ts'
import { isEmptyDirectory } from '../../raft/internal.ts'
import type { Applicant } from './members-answer.ts'
import { lostLogError, readMembersAnswer, statusOf } from './members-answer.ts'

/** How long the nodes may take to answer: a start must not hang on those that are down. */
const timeoutMs = 1_500

/** What {@link checkBeforeStart} asks with. */
interface FirstCheck {
  readonly applicant: Applicant
  readonly nodes: readonly string[]
  readonly membersPath: string
  readonly dataDir: string | null
  readonly client: AdminClient
}

/**
 * Refuses, before anything is written, a node that can never join: rejects with `RAFT_MISDIRECTED` (another cluster) or
 * `RAFT_MEMBER_EXISTS` (the id or address of another member, or its own although its log is gone). Nodes that do not
 * answer are asked again later. A node that has been started before does not ask.
 */
export async function checkBeforeStart ({ applicant, nodes, membersPath, dataDir, client }: FirstCheck): Promise<void> {
  if (dataDir !== null && !await isEmpty(dataDir)) return
  await Promise.all(nodes.map(async (url) => {
    const answer = await client
      .call(url, { method: 'GET', path: `${membersPath}?read=linearizable`, body: null }, { timeoutMs })
      .catch(() => null)
    const members = answer?.statusCode === 200 ? readMembersAnswer(answer.text) : null
    if (members !== null && statusOf(applicant, members, url) === 'voter') throw lostLogError(applicant.id)
  }))
}

/** What {@link checkFirstMember} asks with. */
interface FirstMemberCheck extends FirstCheck {
  /** How long all answers together may take, in milliseconds: an election timeout, so that no peer misses this node. */
  readonly withinMs: number
}

/**
 * Refuses, before anything is written, a removed node that is started again as one of the first members on an empty
 * directory: rejects with `RAFT_UNKNOWN_MEMBER` when the newest membership that the others know does not have it.
 * Several such nodes could otherwise take each other for a majority and found a second cluster. Best effort: when no
 * node answers, as at the very first start, the node starts. A node that has been started before does not ask.
 */
export async function checkFirstMember ({
  applicant,
  nodes,
  membersPath,
  dataDir,
  client,
  withinMs
}: FirstMemberCheck): Promise<void> {
  if (dataDir !== null && !(await isEmpty(dataDir))) return
  const signal = AbortSignal.timeout(withinMs)
  const answers = await Promise.all(
    nodes.map(async (url) => {
      const answer = await client
        .call(url, { method: 'GET', path: membersPath, body: null }, { timeoutMs: withinMs, signal })
        .catch(() => null)
      const known = answer?.statusCode === 200 ? readMembersAnswer(answer.text) : null
      return known?.clusterId === applicant.clusterId ? [{ url, known }] : []
    })
  )
  // An old member may be behind: this node can have been added again since.
  const [newest] = answers.flat().sort((one, other) => other.known.version - one.known.version)
  // Version 0: it only repeats the options that it was started with.
  if (newest === undefined || newest.known.version === 0) return
  if (newest.known.members.some(({ id }) => id === applicant.id)) return
  const error = new UnknownMemberError(applicant.id)
  error.message += `: it runs without this node, as ${newest.url} says. Start it with join instead of members`
  throw error
}

async function isEmpty (directory: string): Promise<boolean> {
  try {
    return await isEmptyDirectory(directory)
  } catch {
    // It cannot be used: the storage will say so.
    return true
  }
}
