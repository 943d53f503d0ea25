import type { Static } from 'typebox'
import Type from 'typebox'
import Value from 'typebox/value'
import type { Member } from '../../raft/index.ts'
import { MemberExistsError, MisdirectedError } from '../../raft/index.ts'

/** What `GET members` answers, as far as a node that joins needs it. Open: a later release may say more. */
const membersAnswer = Type.Object({
  clusterId: Type.String(),
  members: Type.Array(Type.Object({
    id: Type.String(),
    url: Type.String(),
    role: Type.Union([Type.Literal('voter'), Type.Literal('learner'), Type.Literal('leaving')])
  })),
  version: Type.Integer({ minimum: 0 })
})

/** Who belongs to a cluster, by the word of one of its nodes. */
export type MembersAnswer = Static<typeof membersAnswer>

/** Reads the body of an answer; null when it is none that a node gives. */
export function readMembersAnswer (text: string): MembersAnswer | null {
  const value = parse(text)
  return Value.Check(membersAnswer, value) ? value : null
}

/** The code and message of an error that a node answered; null when it is none of ours. */
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

/** Who wants to join which cluster. */
export interface Applicant extends Member {
  readonly clusterId: string
}

/** What a node that wants to join is to that cluster. */
export type Standing = 'absent' | 'learner' | 'voter' | 'leaving'

/**
 * What the applicant is to the cluster. Throws `RAFT_MISDIRECTED` when it is another cluster, and `RAFT_MEMBER_EXISTS`
 * when its id or its address belongs to somebody else.
 */
export function standingOf (applicant: Applicant, answer: MembersAnswer, askedUrl: string): Standing {
  if (answer.clusterId !== applicant.clusterId) {
    throw new MisdirectedError(
      `${askedUrl} belongs to cluster "${answer.clusterId}", and this node to "${applicant.clusterId}": correct ` +
        'clusterId or join'
    )
  }
  const member = answer.members.find(({ id, url }) => id === applicant.id || url === applicant.url)
  if (member === undefined) return 'absent'
  if (member.id !== applicant.id) {
    throw existsError(applicant.id, `${applicant.url} is that of the member "${member.id}"`)
  }
  if (member.url !== applicant.url) {
    throw existsError(
      applicant.id,
      `the member "${member.id}" is at ${member.url}, and this node at ${applicant.url}; choose another id`
    )
  }
  return member.role
}

/** The refusal of a voter that has lost its log: it may have voted, and would vote again. */
export function wipedError (id: string): Error {
  return existsError(
    id,
    'it votes already, but nothing is left of what it has stored. Remove it from the cluster: then this node can ' +
      'join, as a new member'
  )
}

/** The refusal of an id or address that is in use, with what can be done about it. */
export function existsError (id: string, why: string): Error {
  const error = new MemberExistsError(id)
  error.message += `: ${why}`
  return error
}
