import { defaults } from '../../raft/internal.ts'
import { Type } from './schema.ts'

/** A duration in milliseconds. */
export function durationMs (description: string, minimum: number, maximum: number, byDefault: number) {
  return count(`${description} Milliseconds.`, minimum, maximum, byDefault)
}

/** A whole number. */
export function count (description: string, minimum: number, maximum: number, byDefault: number) {
  return Type.Optional(Type.Integer({ description, minimum, maximum, default: byDefault }))
}

/** Whether informational answers are passed on, for nodes and gateways alike. */
export const informational = Type.Optional(
  Type.Boolean({
    description:
      'Pass informational answers (102 and 103) on to clients. Set it to false behind a proxy that takes them for ' +
        'the answer, as nginx does.',
    default: true
  })
)

/** A path that other paths are appended to. */
export function pathPrefix (description: string) {
  return Type.Optional(
    Type.String({
      description,
      pattern: '^(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$',
      mustBe: `a path such as ${defaults.prefix}, without a slash at its end`,
      maxLength: 200,
      default: defaults.prefix
    })
  )
}

/** A text in PEM. */
function pem (description: string) {
  return Type.Optional(Type.String({ description, minLength: 1, maxLength: 1_048_576 }))
}

/** A file with such a text. */
function pemFile (description: string) {
  return Type.Optional(Type.String({ description, minLength: 1, maxLength: 4_096 }))
}

/** The options of `tls` that nodes and gateways share; `readTls` has the rules. */
export const tlsProperties = {
  ca: pem('Certificates of the authorities to trust, in PEM, instead of those that Node trusts.'),
  caFile: pemFile('File with the text of `ca`, read again when it changes.'),
  cert: pem('Certificate to show to the nodes, in PEM, with intermediate ones behind it. Needs `ca` and `key`.'),
  certFile: pemFile('File with the text of `cert`, read again when it changes.'),
  key: pem('Key of the certificate, in PEM, not encrypted.'),
  keyFile: pemFile('File with the text of `key`, read again when it changes. Not everybody may be allowed to read it.')
}

/** What a server shows to clients. Closed. */
export const serverTlsSchema = Type.Object({
  cert: pem('Certificate of the server, in PEM, with intermediate ones behind it.'),
  certFile: pemFile('File with the text of `cert`, read again when it changes.'),
  key: pem('Key of the certificate, in PEM, not encrypted.'),
  keyFile: pemFile('File with the text of `key`, read again when it changes. Not everybody may be allowed to read it.')
}, { additionalProperties: false })

/** How a gateway calls nodes over https. Closed. */
export const tlsSchema = Type.Object(tlsProperties, { additionalProperties: false })

/** The base URL of a node; `readNodeUrl` has the rules. */
export function nodeUrl (description: string) {
  return Type.String({ description, minLength: 1, maxLength: 300 })
}
