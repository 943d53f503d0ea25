import type { Static } from 'typebox'
import { fits, Type } from '../../gateway/internal.ts'
import type { Member } from '../../raft/index.ts'
import { MemberExistsError, MisdirectedError } from '../../raft/index.ts'

/** The answer to `GET members`, as far as a node that joins needs it. Open: a later release may add properties. */
const membersAnswer = Type.Object({
  clusterId: Type.String(),
  clusterUuid: Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 64 }), Type.Null()])),
  members: Type.Array(Type.Object({
    id: Type.String(),
    url: Type.String(),
    role: Type.Union([Type.Literal('voter'), Type.Literal('learner'), Type.Literal('leaving')]),
    incarnation: Type.Optional(Type.String())
  })),
  version: Type.Integer({ minimum: 0 })
})

/** The members of a cluster as one of its nodes knows them. */
type MembersAnswer = Static<typeof membersAnswer>

/** Reads the body of an answer; null when no node of a cluster can have given it. */
export function readMembersAnswer (text: string): MembersAnswer | null {
  const value = parse(text)
  return fits(membersAnswer, value) ? value : null
}

/** The code and message of an error answer; null when the body is not one of a node. */
export function readErrorAnswer (text: string): { readonly code: string, readonly message: string } | null {
  const value = parse(text)
  if (typeof value !== 'object' || value === null || !('code' in value) || !('message' in value)) return null
  const { code, message } = value
  return typeof code === 'string' && typeof message === 'string' ? { code, message: message.slice(0, 1_000) } : null
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** A node that wants to join, and the cluster it wants to join. */
export interface Applicant extends Member {
  readonly clusterId: string
}

/** What a cluster says about an applicant. */
export interface MembershipStatus {
  readonly role: 'absent' | 'learner' | 'voter' | 'leaving'
  /** Whether the member is known by the log of the applicant: surely it is the applicant itself. */
  readonly isOwnLog: boolean
  /** Whether that member is known at another URL. */
  readonly hasMoved: boolean
}

/**
 * The membership status of the applicant, whose log has this incarnation; null when it has no log yet. Throws
 * `RAFT_MISDIRECTED` when the cluster is another one, and `RAFT_MEMBER_EXISTS` when the id or the address belongs to
 * another member.
 */
export function statusOf (
  applicant: Applicant,
  incarnation: string | null,
  answer: MembersAnswer,
  askedUrl: string
): MembershipStatus {
  if (answer.clusterId !== applicant.clusterId) {
    throw new MisdirectedError(
      `${askedUrl} belongs to cluster "${answer.clusterId}", and this node to "${applicant.clusterId}": correct ` +
        'clusterId or join'
    )
  }
  // By id first: the URL may be the last known one of a member that is somewhere else by now.
  const { members } = answer
  const member = members.find(({ id }) => id === applicant.id) ?? members.find(({ url }) => url === applicant.url)
  if (member === undefined) return { role: 'absent', isOwnLog: false, hasMoved: false }
  if (member.id !== applicant.id) {
    throw existsError(applicant.id, `${applicant.url} is that of the member "${member.id}"`)
  }
  const isOwnLog = incarnation !== null && member.incarnation === incarnation
  const hasMoved = member.url !== applicant.url
  if (hasMoved && !isOwnLog) {
    throw existsError(
      applicant.id,
      `the member "${member.id}" is at ${member.url}, and this node at ${applicant.url}; choose another id`
    )
  }
  return { role: member.role, isOwnLog, hasMoved }
}

/** The refusal of a voter that has lost its log: it may have voted, and would vote again. */
export function lostLogError (id: string): Error {
  return existsError(
    id,
    'it votes already, but nothing is left of what it has stored. Remove it from the cluster: then this node can ' +
      'join, as a new member'
  )
}

/** The refusal of an id or address that is in use, with what can be done about it. */
function existsError (id: string, why: string): Error {
  const error = new MemberExistsError(id)
  error.message += `: ${why}`
  return error
}
