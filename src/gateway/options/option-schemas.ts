import Type from 'typebox'
import { defaults } from '../../raft/internal.ts'

/** A duration in milliseconds. */
export function durationMs (description: string, minimum: number, maximum: number, byDefault: number) {
  return count(`${description} Milliseconds.`, minimum, maximum, byDefault)
}

/** A whole number. */
export function count (description: string, minimum: number, maximum: number, byDefault: number) {
  return Type.Optional(Type.Integer({ description, minimum, maximum, default: byDefault }))
}

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

/** How nodes are called over https; `checkTls` has the rules. Closed. */
export const tlsSchema = Type.Object(
  {
    ca: Type.Optional(
      Type.String({
        description: 'Certificates of the authorities to trust, in PEM, instead of those that Node trusts.',
        minLength: 1,
        maxLength: 1_048_576
      })
    )
  },
  { additionalProperties: false }
)

/** The base URL of a node; `readNodeUrl` has the rules. */
export function nodeUrl (description: string) {
  return Type.String({ description, minLength: 1, maxLength: 300 })
}
