import { WalCorruptError } from '../../errors.ts'

/** How a node without its log becomes a member of its cluster again; without the full stop. */
export const rejoin =
  'remove the member, empty the directory and start the node with join: it comes back as a new member, under the ' +
  'same id if you like. Until it is removed, the others take nothing from it without its log'

/**
 * What an operator can do about a damaged log. To start with an empty log as the same member is not an option: the node
 * would have forgotten its votes and the entries it acknowledged, on which the other members count, and they would
 * refuse it for that. The id does not matter: a member is known by its log, and a removed node may join under its id.
 */
export const wayOut =
  'Nothing was changed. There are two ways out: put back the data directory from a copy made after this node last ' +
  'ran (an older copy has forgotten votes and entries that the others count on), or ' + rejoin + '.'

/**
 * The error for a damaged log.
 *
 * @param position the byte of the file at which the damage was found
 * @param lastIndex the last entry before it, or null when it comes before the first entry of the segment
 */
export function logDamage (path: string, position: number, lastIndex: number | null, what: string): Error {
  const place = lastIndex === null ? 'before its first entry' : `behind index ${lastIndex}`
  return new WalCorruptError(`The log ${path} is damaged at byte ${position}, ${place}: ${what}. ${wayOut}`)
}
