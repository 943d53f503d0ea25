import type { Fault, ResolvedTls } from '../../gateway/internal.ts'
import { readTls } from '../../gateway/internal.ts'
import type { NameForm } from '../../raft/index.ts'
import type { ClusterOptions, TlsOptions } from './options-schema.ts'

/** The options of `tls` as they were read. With a certificate of its own, a node asks its peers for theirs. */
export interface ResolvedClusterTls extends ResolvedTls {
  readonly nameForm: NameForm
  /** Names of gateways. */
  readonly gateways: readonly string[]
}

/** Whether the node is to have a certificate, whatever is wrong with it. */
export function hasCertificate (tls: TlsOptions | undefined): boolean {
  return tls?.cert !== undefined || tls?.certFile !== undefined
}

/** Reads `tls`, whose certificate has to name this node and no other one. */
export function readClusterTls (
  { id = 'n1', clusterId = 'default', members = [] }: Pick<ClusterOptions, 'id' | 'clusterId' | 'members'>,
  tls: TlsOptions = {},
  faults: Fault[]
): ResolvedClusterTls {
  const { names: nameForm = 'any', gateways = [], ...options } = tls
  const memberIds = members.map((member) => member.id)
  for (const [index, name] of gateways.entries()) {
    if (name === id || memberIds.includes(name)) {
      const message = `"${name}" is a member: give gateways names of their own`
      faults.push({ path: `tls.gateways[${index}]`, message })
    }
  }
  if (gateways.length > 0 && !hasCertificate(tls)) {
    faults.push({ path: 'tls.gateways', message: 'needs a certificate of this node (certFile, keyFile and caFile)' })
  }
  const others = [...memberIds, ...gateways].filter((name) => name !== id)
  const read = readTls(options, hasCertificate(tls) ? { name: id, clusterId, form: nameForm, others } : null, faults)
  return { ...read, nameForm, gateways }
}
