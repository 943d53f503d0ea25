import type { IncomingMessage } from 'node:http'
import type { Hop } from '../../gateway/internal.ts'
import type { Engine } from '../../raft/index.ts'
import { UnauthorizedError, WrongCertificateError } from '../../raft/index.ts'
import type { PeerCertificates } from '../../raft/internal.ts'
import type { ProvenCaller } from './proven-caller.ts'

/** What callers are told by. */
interface CertificateCallersOptions {
  readonly certificates: PeerCertificates
  readonly engine: Pick<Engine, 'members'>
  /** Names of gateways. */
  readonly gateways: readonly string[]
  /** Path of `members`, where nodes ask to join. */
  readonly membersPath: string
}

/** Names of nodes that are no members, by the request in which they ask to become one. */
const applicants = new WeakMap<IncomingMessage, ReadonlySet<string>>()

/** Throws `RAFT_UNAUTHORIZED` when a node that is no member asks for another one to be added. */
export function checkApplicant (req: IncomingMessage, id: string): void {
  const names = applicants.get(req)
  if (names === undefined || names.has(id)) return
  throw new UnauthorizedError(`A node with a certificate for ${[...names].join(', ')} cannot join as "${id}"`)
}

/** Tells who called by the certificate of the connection. */
export class CertificateCallers {
  readonly #options: CertificateCallersOptions

  constructor (options: CertificateCallersOptions) {
    this.#options = options
  }

  /**
   * Who makes a call of its own: a member or a gateway; or a node that asks to join, which may do what that takes, for
   * itself. Null for everybody else.
   */
  of (req: IncomingMessage): ProvenCaller | null {
    const names = this.#options.certificates.namesOf(req.socket)
    if (names.size === 0) return null
    const known = this.#knownOf(names)
    if (known !== null) return known
    const [first] = names
    const id = this.#applicantOf(req, names)
    if (id === null || first === undefined) return null
    applicants.set(req, names)
    return { kind: 'member', id: id === '' ? first : id }
  }

  /** Throws when the connection is not that of a member, or of a gateway, which sends this hop. */
  checkHop (req: IncomingMessage, hop: Hop | null): void {
    const names = this.#options.certificates.prove(req.socket)
    const known = this.#knownOf(names)
    if (known === null) throw wrongCertificate(names, 'passes on a request, and is neither a member nor a gateway')
    if (hop === null || names.has(hop.from)) return
    if (known.kind === 'gateway' && !this.#options.engine.members().some(({ id }) => id === hop.from)) return
    throw wrongCertificate(names, `sends in the name of "${hop.from}"`)
  }

  /** Throws when the connection is not that of the node or gateway that has proven the request otherwise. */
  checkSender (req: IncomingMessage, from: string): void {
    const names = this.#options.certificates.prove(req.socket)
    if (!names.has(from)) throw wrongCertificate(names, `sends in the name of "${from}"`)
  }

  #knownOf (names: ReadonlySet<string>): ProvenCaller | null {
    const { engine, gateways } = this.#options
    const member = engine.members().find(({ id }) => names.has(id))
    if (member !== undefined) return { kind: 'member', id: member.id }
    const gateway = gateways.find((name) => names.has(name))
    return gateway === undefined ? null : { kind: 'gateway', name: gateway }
  }

  /** The id that a node asks to join under; empty where the body has it, null when it asks for something else. */
  #applicantOf ({ url = '', method }: IncomingMessage, names: ReadonlySet<string>): string | null {
    const { membersPath } = this.#options
    const [path = ''] = url.split('?', 1)
    if (path === membersPath) return method === 'GET' || method === 'POST' ? '' : null
    if (!path.startsWith(`${membersPath}/`)) return null
    const [id = ''] = path.slice(membersPath.length + 1).split('/', 1)
    return names.has(id) ? id : null
  }
}

function wrongCertificate (names: ReadonlySet<string>, what: string): Error {
  return new WrongCertificateError(`that of ${[...names].join(', ')} ${what}`)
}
