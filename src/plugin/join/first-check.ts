import type { AdminClient } from '../../gateway/internal.ts'
import type { Logger } from '../../raft/index.ts'
import { BusyError, UnauthorizedError, UnknownMemberError } from '../../raft/index.ts'
import { isEmptyDirectory, otherClusterError } from '../../raft/internal.ts'
import type { AskedMembers } from './ask-members.ts'
import { askMembers } from './ask-members.ts'
import type { Applicant } from './members-answer.ts'
import { lostLogError, statusOf } from './members-answer.ts'

/** How long the nodes may take to answer: a start must not hang on those that are down. */
const timeoutMs = 1_500

/** What {@link checkBeforeStart} asks with. */
interface FirstCheck {
  readonly applicant: Applicant
  readonly nodes: readonly string[]
  readonly membersPath: string
  readonly dataDir: string | null
  readonly client: AdminClient
  readonly logger: Logger
}

/**
 * Refuses, before anything is written, a node that can never join: rejects with `RAFT_MISDIRECTED` (another cluster),
 * `RAFT_OTHER_CLUSTER` (two clusters of one name), `RAFT_OTHER_SECRET` or `RAFT_MEMBER_EXISTS` (the id or address of
 * another member, or its own although its log is gone). Nodes that do not answer are asked again later; the log says
 * which, and why. A node that has been started before does not ask.
 */
export async function checkBeforeStart ({
  applicant,
  nodes,
  membersPath,
  dataDir,
  client,
  logger
}: FirstCheck): Promise<void> {
  if (dataDir !== null && !await isEmpty(dataDir)) return
  const answers = await Promise.all(nodes.map(async (url) => {
    const asked = await askMembers(url, { client, path: `${membersPath}?read=linearizable`, timeoutMs })
    if (asked.kind === 'other-secret') throw asked.error
    if (asked.kind !== 'known') {
      logger.info({ url, reason: asked.reason }, 'not asked before the start whether this node can join')
    } else if (statusOf(applicant, null, asked.known, url).role === 'voter') throw lostLogError(applicant.id)
    return asked
  }))
  requireOneCluster(answers.filter(isKnown))
}

/** Refuses nodes of two clusters of one name: which one is meant, only an operator can say. */
function requireOneCluster (answers: ReadonlyArray<Extract<AskedMembers, { kind: 'known' }>>): void {
  const [first, ...others] = answers.filter(({ known }) => typeof known.clusterUuid === 'string')
  const other = others.find(({ known }) => known.clusterUuid !== first?.known.clusterUuid)
  if (first === undefined || other === undefined) return
  throw otherClusterError(
    first.known.clusterId,
    [first.url, first.known.clusterUuid ?? ''],
    [other.url, other.known.clusterUuid ?? '']
  )
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
 * node answers, as at the very first start, the node starts, and the log says which ones did not, and why. But when
 * somebody is there and does not let this node ask, and nobody else knows it as a member, it rejects with
 * `RAFT_UNAUTHORIZED`, or `RAFT_BUSY` for 429; with `RAFT_OTHER_SECRET` when somebody is there who has another secret.
 * A node that has been started before does not ask.
 */
export async function checkFirstMember ({
  applicant,
  nodes,
  membersPath,
  dataDir,
  client,
  logger,
  withinMs
}: FirstMemberCheck): Promise<void> {
  if (dataDir !== null && !(await isEmpty(dataDir))) return
  const asked = await Promise.all(
    nodes.map(async (url) => await askMembers(url, { client, path: membersPath, timeoutMs: withinMs }))
  )
  for (const each of asked) {
    // Nobody would take it for a member, and it would take nobody for one.
    if (each.kind === 'other-secret') throw each.error
    logUnasked(each, logger)
  }
  const answers = asked.filter(isKnown).filter(({ known }) => known.clusterId === applicant.clusterId)
  requireOneCluster(answers)
  // An old member may be behind: this node can have been added again since.
  const [newest] = answers.sort((one, other) => other.known.version - one.known.version)
  // Version 0: it only repeats the options that it was started with.
  if (newest === undefined || newest.known.version === 0) {
    requireAllAsked(asked, membersPath)
    return
  }
  if (newest.known.members.some(({ id }) => id === applicant.id)) return
  const error = new UnknownMemberError(applicant.id)
  error.message += `: it runs without this node, as ${newest.url} says. Start it with join instead of members`
  throw error
}

function isKnown (asked: AskedMembers): asked is Extract<AskedMembers, { kind: 'known' }> {
  return asked.kind === 'known'
}

function logUnasked (asked: AskedMembers, logger: Logger): void {
  if (asked.kind === 'known') return
  const { url, reason } = asked
  const message = 'start check not made: the member did not say whether this node still belongs'
  // Nobody is there at the very first start.
  if (asked.kind === 'no-answer') logger.info({ member: url, reason }, message)
  else logger.warn({ member: url, reason }, message)
}

/** A check that could not be made is not passed where somebody may know better. */
function requireAllAsked (asked: readonly AskedMembers[], membersPath: string): void {
  for (const each of asked) {
    if (each.kind !== 'refused') continue
    const { url, reason, statusCode } = each
    const what = `whether this node still belongs could not be asked at ${url}: ${reason}`
    const wayOut = `Let nodes reach GET ${membersPath}, or name in adminHeaders a token, or what a proxy in front of ` +
      'it asks for'
    throw statusCode === 429 ? new BusyError(what) : new UnauthorizedError(`${what}. ${wayOut}`)
  }
}

async function isEmpty (directory: string): Promise<boolean> {
  try {
    return await isEmptyDirectory(directory)
  } catch {
    // It cannot be used: the storage will say so.
    return true
  }
}
