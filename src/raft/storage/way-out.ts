/**
 * What an operator can do about a damaged log. Starting empty under the old id is not among it: the node would forget
 * its votes and the entries it acknowledged, and so could undo what the others count on.
 */
export const wayOut =
  'Nothing was changed. There are two ways out: put back the data directory from a copy made after this node last ' +
  'ran (an older copy has forgotten votes and entries that the others count on), or empty the directory and let the ' +
  'node join as a new member, under a new id. Never start it empty under its old id.'
