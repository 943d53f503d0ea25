import { readSecret, type Secret } from '../../src/raft/trust/secret.ts'

function secretOf (text: string): Secret {
  const reading = readSecret(text)
  if (reading.kind === 'fault') throw new Error(reading.message)
  return reading.secret
}

/** The secret of the nodes under test. */
export const fuzzSecretText = '00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f'
export const fuzzSecret = secretOf(fuzzSecretText)

/** A secret that no node under test has. */
export const otherSecret = secretOf('ff112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f')
