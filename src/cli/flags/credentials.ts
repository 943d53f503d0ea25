import type { Flags, FlagValues } from './flag-values.ts'

/** What a command shows to the node that it calls. The token itself is on no command line: others can read those. */
export interface CredentialSettings {
  readonly tokenFile: string | null
  /** The token in the environment, if no file is named. */
  readonly token: string | null
  readonly adminHeaders: Readonly<Record<string, string>> | null
}

/** The variable that holds a token. */
export const tokenVariable = 'CLUSTER_TOKEN'

export const credentialFlags: Flags = {
  'token-file': {
    value: '<file>',
    text: `file with the token to show; left out: the token in ${tokenVariable}, if any`,
    variable: 'CLUSTER_TOKEN_FILE'
  },
  'admin-header': {
    value: '<name: value>',
    text: 'header field to send along, for a proxy that asks for credentials',
    variable: 'CLUSTER_ADMIN_HEADER'
  }
}

export function readCredentials (values: FlagValues): CredentialSettings {
  const tokenFile = values.text('token-file')
  const token = tokenFile === null ? values.variable(tokenVariable) : null
  const adminHeaders = values.header('admin-header')
  const names = Object.keys(adminHeaders ?? {}).map((name) => name.toLowerCase())
  if ((tokenFile ?? token) !== null && names.includes('authorization')) {
    throw values.fault('admin-header', 'must not have the field authorization: the token stands there')
  }
  return { tokenFile, token, adminHeaders }
}
