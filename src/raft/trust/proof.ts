import { createHash, type KeyObject } from 'node:crypto'
import { macOf } from './seal.ts'
import { macOfText } from './text-mac.ts'

/** Request field that proves who sent a request, outside of the sessions of peers; its answer carries one as well. */
export const proofField = 'raft-proof'

/** Response field that tells the nonce which a proof for this node is made with. Only where there is a secret. */
export const nonceField = 'raft-nonce'

/** What the node that a client called saw of its connection. */
export interface ClientView {
  /** Remote address of the socket; empty when it was gone already. */
  readonly address: string
  /** Remote port of the socket; 0 when it was gone already. */
  readonly port: number
  readonly isTls: boolean
}

/** The parts of a request that its proof covers; fields as they are sent, empty when they are not. */
export interface ProvenParts {
  readonly method: string
  /** As it is sent, with the query. */
  readonly target: string
  /** Says that the request was forwarded. */
  readonly hop: string
  /** Names the attempt of a request that any node may serve. */
  readonly attempt: string
  /** UUID of the cluster that the call is meant for. */
  readonly cluster: string
}

/** Who can prove something. Gateways hold another key than members, and may do less. */
export type ProofRole = 'member' | 'gateway'

/** What a proof says beside the request itself. */
export interface ProofClaim {
  readonly role: ProofRole
  /** Id of the node, or name of the gateway. */
  readonly from: string
  /** Names the request: random bytes of its sender's start, and a counter. Used once. */
  readonly id: string
  /** Where the request of a client came from. Left out of a call that the sender makes by itself. */
  readonly client?: ClientView
  /** Id of the node whose call a member passes on to the leader. */
  readonly caller?: string
  /** SHA-256 of the body, in base64url. Left out where the body passes by and is not known. */
  readonly bodyHash?: string
}

/** One MAC, and the name of the key that made it. */
interface NamedMac {
  readonly keyName: string
  /** In base64url. */
  readonly mac: string
}

/** A proof as it came. */
export interface ReadProof {
  readonly claim: ProofClaim
  readonly startId: string
  readonly counter: number
  /** Names the nonce that it was made with; empty when its sender knew none. */
  readonly nonceName: string
  /** What the MACs cover of the field itself. */
  readonly text: string
  readonly macs: readonly NamedMac[]
}

/** The start of every proof of one sender. */
export function proofStart (role: ProofRole, from: string): string {
  return `v=1;by=${role};from=${encodeURIComponent(from)};id=`
}

/** The text of a claim, to be covered by MACs. `start`: what {@link proofStart} made of its role and sender. */
export function claimText (
  start: string,
  { id, client, caller, bodyHash }: Omit<ProofClaim, 'role' | 'from'>,
  nonceName: string
): string {
  let text = `${start}${id};nonce=${nonceName}`
  if (client !== undefined) {
    text += `;for=${encodeURIComponent(client.address)};port=${client.port};tls=${client.isTls ? 1 : 0}`
  }
  if (caller !== undefined) text += `;caller=${encodeURIComponent(caller)}`
  if (bodyHash !== undefined) text += `;body=${bodyHash}`
  return text
}

/** The MAC of a request (RFC 2104). No part can hold a line break: HTTP has none within a line. */
export function macOfRequest (
  key: KeyObject,
  { method, target, hop, attempt, cluster }: ProvenParts,
  text: string
): string {
  return macOfText(key, `request\n${method} ${target}\n${hop}\n${attempt}\n${cluster}\n${text}`)
}

/**
 * The MAC of the answer to a request: a request that is sent back is no answer, and an answer belongs to one request.
 */
export function macOfAnswer (
  key: KeyObject,
  { method, target }: Pick<ProvenParts, 'method' | 'target'>,
  id: string,
  statusCode: number,
  body: Uint8Array | string
): Buffer {
  return macOf(key, `answer\n${method} ${target}\n${id}\n${statusCode}\n`, body)
}

/** The MAC of what says that a request was not executed. */
export function macOfRefusal (
  key: KeyObject,
  { method, target }: Pick<ProvenParts, 'method' | 'target'>,
  refusal: string
): string {
  return macOfText(key, `refusal\n${method} ${target}\n${refusal}`)
}

/** SHA-256 of a body, in base64url. */
export function hashOfBody (body: Uint8Array | string): string {
  return createHash('sha256').update(body).digest('base64url')
}

/** Puts MACs behind the text that they cover. */
export function withMacs (text: string, macs: readonly NamedMac[]): string {
  if (macs.length === 0) return text
  return `${text};mac=${macs.map(({ keyName, mac }) => `${keyName}:${mac}`).join('.')}`
}

/** The role that a proof names, whether it is one or not: which nonce its sender asks for. */
export function claimedRole (value: string | undefined): ProofRole {
  return value?.startsWith('v=1;by=gateway;') === true ? 'gateway' : 'member'
}

const proofPattern = new RegExp([
  '^(v=1;by=(member|gateway);from=([^;=,\\s]{1,256});id=([0-9a-f]{32})-([1-9]\\d{0,15});nonce=([\\w-]{0,8})',
  '(?:;for=([^;=,\\s]{0,128});port=(\\d{1,5});tls=([01]))?',
  '(?:;caller=([^;=,\\s]{1,256}))?',
  '(?:;body=([\\w-]{43}))?)',
  '(?:;mac=([\\w-]{8}:[\\w-]{43}(?:\\.[\\w-]{8}:[\\w-]{43})?))?$'
].join(''))

/** Reads a proof; null for anything that {@link claimText} and {@link withMacs} do not write. */
export function readProof (value: string | undefined): ReadProof | null {
  const match = value === undefined ? null : proofPattern.exec(value)
  if (match === null) return null
  const [, text = '', role, from = '', startId = '', counter = '', nonceName = ''] = match
  // By their indexes: `slice` would make one more array for each forwarded request.
  const [address, port, tls, caller, bodyHash, macs] = [match[7], match[8], match[9], match[10], match[11], match[12]]
  try {
    return {
      claim: {
        role: role === 'gateway' ? 'gateway' : 'member',
        from: decodeURIComponent(from),
        id: `${startId}-${counter}`,
        ...(address === undefined
          ? {}
          : { client: { address: decodeURIComponent(address), port: Number(port), isTls: tls === '1' } }),
        ...(caller === undefined ? {} : { caller: decodeURIComponent(caller) }),
        ...(bodyHash === undefined ? {} : { bodyHash })
      },
      startId,
      counter: Number(counter),
      nonceName,
      text,
      macs: macs === undefined ? [] : macs.split('.').map(readMac)
    }
  } catch {
    // A percent sign that encodes nothing.
    return null
  }
}

function readMac (text: string): NamedMac {
  const at = text.indexOf(':')
  return { keyName: text.slice(0, at), mac: text.slice(at + 1) }
}
