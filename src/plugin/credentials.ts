import type { OpenSecrets } from '../gateway/internal.ts'
import { openSecrets } from '../gateway/internal.ts'
import type { Clock, Logger, Secret } from '../raft/index.ts'
import { readSecrets } from '../raft/index.ts'
import { MemberNonces, OwnTls, Prover } from '../raft/internal.ts'
import type { ResolvedOptions } from './options/options.ts'
import type { Tokens } from './v1/token-file.ts'
import { openTokens } from './v1/token-file.ts'

/** What a node proves itself with, and asks others to. Files are looked at for changes until it is closed. */
export interface Credentials {
  /** Null: members prove nothing with a secret. */
  readonly secrets: OpenSecrets<Secret> | null
  readonly nonces: MemberNonces
  readonly prover: Prover
  /** What this node trusts and shows over TLS. */
  readonly tls: OwnTls
  /** Null: clients show no tokens. */
  readonly tokens: Tokens | null
  readonly close: () => void
}

/** The credentials of the options, which have been read once already. */
export function openCredentials (options: ResolvedOptions, logger: Logger, clock: Clock): Credentials {
  const secrets = openSecrets(options.secret, readSecrets, logger)
  const tls = new OwnTls(options.tls.inputs, options.tls.material, logger)
  const tokens = options.tokens === null ? null : openTokens(options.tokens, logger)
  return {
    secrets,
    nonces: new MemberNonces(options.id, clock.monotonicMs),
    prover: Prover.ofMember(options.id, secrets),
    tls,
    tokens,
    close: () => { for (const opened of [secrets, tokens, tls]) opened?.close() }
  }
}
