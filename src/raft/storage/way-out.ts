/** How a node without its log belongs to its cluster again; without the full stop. */
export const rejoin =
  'remove the member, empty the directory and start the node with join: it comes back as a new member, under the ' +
  'same ' +
  'id if you like. Until it is removed, the others take nothing from it without its log'

/**
 * What an operator can do about a damaged log. Starting empty as the member that it was is not among it: the node would
 * have forgotten its votes and the entries it acknowledged, which the others count on, and they would refuse it for
 * that. The id does not matter: a member is known by its log, and a node that was removed may join under the same one.
 */
export const wayOut =
  'Nothing was changed. There are two ways out: put back the data directory from a copy made after this node last ' +
  'ran (an older copy has forgotten votes and entries that the others count on), or ' + rejoin + '.'
