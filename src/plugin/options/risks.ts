import type { Logger } from '../../raft/index.ts'
import type { ResolvedOptions } from './options.ts'

/** The options that risk something when they are, or are not, given. */
type RiskyOptions = Pick<ResolvedOptions, 'members' | 'join' | 'dataDir' | 'insecure' | 'secret' | 'tls'>

/** Says at every start what the options risk. */
export function warnOfRisks ({ members, join, dataDir, insecure, secret, tls }: RiskyOptions, logger: Logger): void {
  if ((members.length > 1 || join !== null) && dataDir === null) {
    logger.warn(
      { dataDir },
      'no dataDir: this node forgets everything when it stops. Its cluster then goes on without it, until it is ' +
        'removed and joins again'
    )
  }
  if (!insecure) return
  logger.warn(
    { insecure },
    secret === null && tls.material.own === null
      ? 'insecure: whoever reaches this port can speak as a member, and read and change everything. Give all nodes ' +
        'the same secret instead ("fastify-raft secret" makes one), or certificates'
      : 'insecure: whoever reaches this port can read and change the data and the members of the cluster. What ' +
        'members prove makes insecure: true needless for them'
  )
}
