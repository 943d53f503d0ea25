import { InvalidOptionsError, makeSecret, readSecrets } from '../../raft/index.ts'
import { gatewaySecretOf, readSecretFile } from '../../raft/internal.ts'
import type { SecretSettings } from '../flags/secret.ts'
import type { Print } from '../terminal/messages.ts'

/** Prints a new secret, or those for gateways, one a line. Throws `RAFT_INVALID_OPTIONS` for secrets that are none. */
export function runSecret (settings: SecretSettings, print: Print): void {
  if (settings.kind === 'new') print(makeSecret())
  else for (const secret of secretsOf(settings)) print(gatewaySecretOf(secret))
}

function secretsOf (
  { secret, secretFile }: Extract<SecretSettings, { kind: 'gateway' }>
): ReturnType<typeof requireSecrets> {
  if (secretFile === null) return requireSecrets(readSecrets((secret ?? '').split(',')))
  const reading = readSecretFile(secretFile, readSecrets)
  if (reading.kind === 'fault') throw new InvalidOptionsError(reading.message)
  return reading.current
}

function requireSecrets (reading: ReturnType<typeof readSecrets>) {
  if (reading.kind === 'secrets') return reading.current
  throw new InvalidOptionsError(reading.faults.map(({ message }) => `CLUSTER_SECRET ${message}`).join('; '))
}
