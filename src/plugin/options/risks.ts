import type { Logger } from '../../raft/index.ts'
import type { ResolvedOptions } from './options.ts'

/** The options that risk something when they are, or are not, given. */
type RiskyOptions = Pick<
  ResolvedOptions,
  'members' | 'join' | 'dataDir' | 'insecure' | 'secret' | 'tls' | 'tokens' | 'authorize'
>

/** Says at every start what the options risk. */
export function warnOfRisks (options: RiskyOptions, logger: Logger): void {
  const { members, join, dataDir, insecure } = options
  if ((members.length > 1 || join !== null) && dataDir === null) {
    logger.warn(
      { dataDir },
      'no dataDir: this node forgets everything when it stops. Its cluster then goes on without it, until it is ' +
        'removed and joins again'
    )
  }
  if (insecure) logger.warn({ insecure }, riskOfInsecure(options))
}

function riskOfInsecure ({ secret, tls, tokens, authorize }: RiskyOptions): string {
  if (secret === null && tls.material.own === null) {
    return 'insecure: whoever reaches this port can speak as a member, and read and change everything. Give all ' +
      'nodes the same secret instead ("fastify-raft secret" makes one), or certificates'
  }
  if (tokens !== null || authorize !== null) {
    return 'insecure: true has no effect: members prove who they are, and tokens or authorize decide about all others'
  }
  return 'insecure: whoever reaches this port can read and change the data and the members of the cluster. Give ' +
    'callers tokens instead ("fastify-raft token" makes one); members prove who they are'
}
