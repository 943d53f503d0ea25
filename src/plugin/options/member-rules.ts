import { readNodeUrl } from '../../gateway/internal.ts'
import { isLoopbackHostname } from './loopback.ts'

/** The form of an id: it stands in headers, log lines and paths. */
export const idRule = {
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
  mustBe: '1 to 64 letters, digits, dots, dashes and underscores, with a letter or digit first'
}

/** The form of an incarnation. */
export const incarnationRule = { pattern: '^[0-9a-f]{16}$', mustBe: '16 hexadecimal digits' }

/** Members that a cluster has at most, learners included. */
export const maxMembers = 31

const idPattern = new RegExp(idRule.pattern)
const incarnationPattern = new RegExp(incarnationRule.pattern)

/** Whether a value can be the id of a member. */
export function isMemberId (value: unknown): value is string {
  return typeof value === 'string' && idPattern.test(value)
}

/** Whether a value can be the incarnation of a log. */
export function isIncarnation (value: unknown): value is string {
  return typeof value === 'string' && incarnationPattern.test(value)
}

/** Where members may be: on other machines as well, and under http URLs as well. */
export interface MemberReach {
  readonly anywhere: boolean
  readonly onlyHttps: boolean
}

/** Whether a member may be at a URL that another node names: this node connects to it. */
export function isMemberUrl (url: string, { anywhere, onlyHttps }: MemberReach): boolean {
  const read = readNodeUrl(url)
  return read.kind === 'ok' && read.origin === url && (anywhere || isLoopbackHostname(read.hostname)) &&
    (!onlyHttps || url.startsWith('https:'))
}
